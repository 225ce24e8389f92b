package submit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/waypost"
)

// Store is what accepting writes and reads.
type Store interface {
	Accept(ctx context.Context, a *store.Accepting) error
	FindIdempotency(ctx context.Context, operatorID, key string) (*store.Idempotency, error)
	SuppressionsFor(ctx context.Context, operatorID string, addresses []string) (map[string][]waypost.Suppression, error)
}

// Accounts reads operators.
type Accounts interface {
	Get(ctx context.Context, operatorID string) (*waypost.Account, error)
}

// Queue may take a mail from memory. The handover it returns is always to be started
// or cancelled; without ok the deliveries are ordinary due rows.
type Queue interface {
	Reserve(a *waypost.Account, m *waypost.Message, d []waypost.Delivery, once *waypost.Once) (h waypost.Handover, ok bool)
}

// Observer counts acceptances. Implementations must be fast.
type Observer interface {
	Accepted(source string, took time.Duration)
}

// Limits bound one submission.
type Limits struct {
	Size        int64         // bytes of header and body; 0 means 25 MiB
	Recipients  int           // 0 means 1000
	Life        time.Duration // until a mail expires that does not say; 0 means 72 h
	LongestLife time.Duration // the latest expiry, and the latest send_at; 0 means 30 d
	PerMinute   int           // mails per credential; 0 means no limit
}

// Options make a Pipeline.
type Options struct {
	Store     Store
	Accounts  Accounts
	Queue     Queue
	Platform  route.Platform
	Links     unsubscribe.Links // by which recipients unsubscribe
	Hostname  string            // in Received, and in Message-ID where the sender's domain is unknown
	Limits    Limits
	Retention Retention
	Full      func() bool // the disk reserve is reached; nil: never
	Observe   Observer    // may be nil
	Log       *slog.Logger
}

// Retention says how long content is kept. Zero values mean 7 days, reports 3 days.
type Retention struct {
	Content time.Duration
	Reports time.Duration
}

// Pipeline accepts submissions.
type Pipeline struct {
	o         Options
	rates     *rates // by credential
	operators *rates
	domain    string // of the platform, A-labels; "" for none
}

// New returns a Pipeline.
func New(o Options) *Pipeline {
	l := &o.Limits
	if l.Size == 0 {
		l.Size = 25 << 20
	}
	if l.Recipients == 0 {
		l.Recipients = 1000
	}
	if l.Life == 0 {
		l.Life = 72 * time.Hour
	}
	if l.LongestLife == 0 {
		l.LongestLife = 30 * 24 * time.Hour
	}
	if o.Retention.Content == 0 {
		o.Retention.Content = 7 * 24 * time.Hour
	}
	if o.Retention.Reports == 0 {
		o.Retention.Reports = 3 * 24 * time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pipeline{o: o, rates: newRates(l.PerMinute), operators: newRates(0)}
	if domain, err := dns.ToASCII(waypost.DomainOf(o.Platform.From.Email)); err == nil {
		p.domain = domain
	}
	return p
}

// MaxSize is the largest message accepted, in bytes.
func (p *Pipeline) MaxSize() int64 { return p.o.Limits.Size }

// Accept makes a submission durable and returns its receipt, or the reason why not.
// Errors that tell the client something are waypost.Errors.
func (p *Pipeline) Accept(ctx context.Context, s waypost.Submission) (waypost.Receipt, error) {
	began := time.Now()
	d := &draft{p: p, sub: s, now: began}
	if err := d.read(); err != nil {
		return waypost.Receipt{}, err
	}
	if err := d.identify(ctx); err != nil {
		return waypost.Receipt{}, err
	}
	if receipt, found, err := d.replay(ctx); err != nil || found {
		return receipt, err
	}
	if err := d.check(); err != nil {
		return waypost.Receipt{}, err
	}
	if p.o.Full != nil && p.o.Full() {
		return waypost.Receipt{}, waypost.NewError(waypost.StorageFull, "storage_full", "no disk space for new mail; try again later")
	}
	if err := d.edit(); err != nil {
		return waypost.Receipt{}, err
	}
	if err := d.address(ctx); err != nil {
		return waypost.Receipt{}, err
	}
	receipt, err := d.write(ctx)
	if err == nil && p.o.Observe != nil {
		p.o.Observe.Accepted(s.Source, time.Since(began))
	}
	return receipt, err
}

// draft is a submission on its way through the pipeline.
type draft struct {
	p       *Pipeline
	sub     waypost.Submission
	now     time.Time
	account *waypost.Account

	header   *message.Header
	controls message.Controls
	body     []byte
	hash     []byte

	message    *waypost.Message // the queue may keep it: it must not keep the draft alive
	deliveries []waypost.Delivery
	events     []waypost.Event
}

// replay answers a submission whose idempotency key was used before.
func (d *draft) replay(ctx context.Context) (waypost.Receipt, bool, error) {
	if d.sub.IdempotencyKey == "" {
		return waypost.Receipt{}, false, nil
	}
	d.hash = d.sub.BodySHA256
	if d.hash == nil {
		d.hash = fingerprint(&d.sub)
	}
	found, err := d.p.o.Store.FindIdempotency(ctx, d.account.ID, d.idempotencyKey())
	if err != nil {
		return waypost.Receipt{}, false, fmt.Errorf("look up idempotency key: %w", err)
	}
	if found == nil {
		return waypost.Receipt{}, false, nil
	}
	if !bytes.Equal(found.Hash, d.hash) {
		return waypost.Receipt{}, false, &waypost.Error{
			Kind: waypost.Conflict, Code: "idempotency_key_reused", SMTP: "5.6.0",
			Message: "the idempotency key was used for a different mail",
		}
	}
	found.Receipt.Replayed = true
	return found.Receipt, true, nil
}

// idempotencyKey is the key as it is kept. Mail of test keys has keys of its own: a live
// mail must not be answered with one that went to the sandbox. No client can send the
// prefix, since it is no printable character.
func (d *draft) idempotencyKey() string {
	if d.sub.Principal.Test {
		return "\ttest " + d.sub.IdempotencyKey
	}
	return d.sub.IdempotencyKey
}

// fingerprint is what makes two submissions the same.
func fingerprint(s *waypost.Submission) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d %q\n", len(s.Recipients), s.MailFrom)
	for _, r := range s.Recipients {
		fmt.Fprintf(h, "%q\n", r)
	}
	h.Write(s.Message)
	return h.Sum(nil)
}

// write commits the draft. A context that ends meanwhile changes nothing: the commit
// may already be under way, and half a handover would strand the mail until the next
// start.
func (d *draft) write(ctx context.Context) (waypost.Receipt, error) {
	ctx = context.WithoutCancel(ctx)
	m := d.message
	handover, ok := d.p.o.Queue.Reserve(d.account, m, d.deliveries, d.sub.Once)
	committed := false
	defer func() {
		if committed {
			handover.Start()
		} else {
			handover.Cancel()
		}
	}()
	if !ok && d.sub.Once != nil && handover.Refused != nil {
		return waypost.Receipt{}, handover.Refused
	}
	if !ok && d.sub.Once != nil {
		return waypost.Receipt{}, waypost.NewError(waypost.Unavailable, "busy", "the queue takes no test mail now; try again")
	}
	receipt := waypost.Receipt{ID: m.ID, Deliveries: make([]waypost.ReceiptDelivery, 0, len(d.deliveries))}
	if m.BatchID != "" {
		receipt.ID = m.BatchID
	}
	for i := range d.deliveries {
		del := &d.deliveries[i]
		if ok && del.State == waypost.Queued {
			del.Lease, del.Epoch, del.Attempts, del.NextAt = handover.Lease, 1, 1, handover.RetryAt
		}
		receipt.Deliveries = append(receipt.Deliveries, waypost.ReceiptDelivery{
			ID: del.ID, MessageID: m.ID, To: del.Recipient, Status: del.State, Reason: del.Reason,
		})
	}
	a := &store.Accepting{
		OperatorID: d.account.ID, Messages: []waypost.Message{*m}, Bodies: []store.Body{{ID: m.BodyID, Data: m.Body}},
		Deliveries: d.deliveries, Events: d.events, EraseAt: d.eraseAt(), At: d.now,
	}
	if d.sub.Principal.UserID != "" {
		a.Actor = d.sub.Principal.Actor()
	}
	if again := d.sub.Again; again != nil {
		a.Audit = append(a.Audit, waypost.AuditEntry{
			OperatorID: d.account.ID, Actor: again.By, Action: "message.resend", Target: strings.Join(d.sub.Recipients, ", "),
			Detail: waypost.NewDetail(waypost.DetailResent, "of", again.Of, "as", receipt.ID), At: d.now,
		})
	}
	if d.hash != nil {
		a.Idempotency = &store.Idempotency{Key: d.idempotencyKey(), Hash: d.hash, Receipt: receipt, Created: d.now}
	}
	err := d.p.o.Store.Accept(ctx, a)
	if err == nil {
		committed = true
		return receipt, nil
	}
	if waypost.KindOf(err) == waypost.Conflict && d.hash != nil {
		// Another submission with the same key was quicker: its answer is ours.
		if receipt, found, again := d.replay(ctx); again != nil || found {
			return receipt, again
		}
	}
	return waypost.Receipt{}, err
}

// eraseAt is when the content goes: the retention counts from when it may leave.
func (d *draft) eraseAt() time.Time {
	keep := d.p.o.Retention.Content
	if d.message.Kind == waypost.KindReport {
		keep = d.p.o.Retention.Reports
	}
	from := d.now
	if d.message.SendAt.After(from) {
		from = d.message.SendAt
	}
	return from.Add(keep)
}
