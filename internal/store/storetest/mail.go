package storetest

import (
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Mail describes a message for tests; what is not set gets a usual value.
type Mail struct {
	OperatorID string       // "op"
	To         []string     // "someone@example.test"
	Kind       waypost.Kind // event
	Subject    string       // "Geofence entered"
	Body       string       // "Hello\r\n"
	BatchID    string
	Tags       []string
	At         time.Time     // when it is accepted: now
	In         time.Duration // due that long after At
	For        time.Duration // expires that long after At: 72 h
	Keep       time.Duration // content goes that long after At: 7 d
	Lease      string        // leased by accept to this incarnation, with attempt 1
	Key        string        // idempotency key
}

// Accepting builds what store.Accept takes: one message with a delivery for each
// recipient.
func (m Mail) Accepting() *store.Accepting {
	if m.OperatorID == "" {
		m.OperatorID = "op"
	}
	if len(m.To) == 0 {
		m.To = []string{"someone@example.test"}
	}
	if m.Kind == "" {
		m.Kind = waypost.KindEvent
	}
	if m.Subject == "" {
		m.Subject = "Geofence entered"
	}
	if m.Body == "" {
		m.Body = "Hello\r\n"
	}
	if m.At.IsZero() {
		m.At = Now()
	}
	if m.For == 0 {
		m.For = 72 * time.Hour
	}
	if m.Keep == 0 {
		m.Keep = 7 * 24 * time.Hour
	}
	id := waypost.NewIDAt(m.At)
	header := "Subject: " + m.Subject + "\r\n\r\n"
	a := &store.Accepting{
		OperatorID: m.OperatorID, At: m.At, EraseAt: m.At.Add(m.Keep),
		Messages: []waypost.Message{{
			ID: id, OperatorID: m.OperatorID, BatchID: m.BatchID, Credential: "cred", Source: "api", Kind: m.Kind, Lane: m.Kind.Lane(),
			MailFrom: "from@example.test", From: waypost.Address{Name: "Someone", Email: "from@example.test"}, Subject: m.Subject,
			HeaderID: "<" + id + "@example.test>", Size: int64(len(header) + len(m.Body)), Tags: m.Tags,
			Created: m.At, Expires: m.At.Add(m.For), Header: []byte(header), BodyID: id,
		}},
		Bodies: []store.Body{{ID: id, Data: []byte(m.Body)}},
	}
	for _, to := range m.To {
		d := waypost.Delivery{
			ID: waypost.NewIDAt(m.At), OperatorID: m.OperatorID, MessageID: id, Recipient: to, Site: waypost.DomainOf(to),
			Kind: m.Kind, Lane: m.Kind.Lane(), State: waypost.Queued, NextAt: m.At.Add(m.In), Expires: m.At.Add(m.For),
			Created: m.At, Updated: m.At,
		}
		if m.Lease != "" {
			d.Lease, d.Epoch, d.Attempts = m.Lease, 1, 1
		}
		a.Deliveries = append(a.Deliveries, d)
	}
	if m.Key != "" {
		a.Idempotency = &store.Idempotency{
			Key: m.Key, Hash: []byte("hash of " + m.Subject), Receipt: waypost.Receipt{ID: id}, Created: m.At,
		}
	}
	return a
}

// Now is this moment as the store can keep it: UTC, whole milliseconds.
func Now() time.Time { return waypost.FromMillis(waypost.Millis(time.Now())) }
