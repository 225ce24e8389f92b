package submit

import (
	"context"
	"fmt"
	"strings"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/waypost"
)

// edit makes the message as it is stored: From decided, header edited, signature
// appended.
func (d *draft) edit() error {
	s := &d.sub
	from, replaced, err := d.from()
	if err != nil {
		return err
	}
	m := &waypost.Message{
		ID: waypost.NewIDAt(d.now), OperatorID: d.account.ID, BatchID: s.BatchID, Credential: s.Principal.CredentialID,
		Source: s.Source, Kind: s.Kind, Lane: s.Lane, Test: s.Principal.Test, MailFrom: s.MailFrom, From: from,
		Tags: s.Tags, Metadata: s.Metadata, Created: d.now, SendAt: s.SendAt, Expires: s.ExpiresAt,
	}
	e := message.AcceptEdit{
		ReplyTo: d.account.ReplyTo, ID: m.ID, MessageIDDomain: d.messageIDDomain(from), Now: d.now,
		Received: message.Received{HelloName: s.HelloName, Peer: s.Peer, By: d.p.o.Hostname, Protocol: s.Protocol, ID: m.ID},
	}
	if replaced {
		e.From = &from
	}
	d.message = m
	e.Unsubscribe = d.unsubscribe()
	if m.HeaderID, err = d.header.Accept(e); err != nil {
		return err
	}
	m.Subject = d.header.Text("Subject")
	m.Header, m.Body = d.header.Bytes(), d.body
	if !d.account.Signature.Empty() && s.Again == nil {
		header, body, changed, reason := message.AppendSignature(m.Header, m.Body, d.account.Signature)
		if changed {
			m.Header, m.Body = header, body
		} else if reason != "" {
			d.p.o.Log.Debug("signature was not appended", "message", m.ID, "reason", reason)
		}
	}
	m.BodyID = m.ID
	m.Size = int64(len(m.Header) + len(m.Body))
	info := message.Scan(m.Header, m.Body)
	m.EightBit = info.EightBit
	// A client that did not say SMTPUTF8 and sends such a header all the same wants it
	// delivered, not bounced by the first server without the extension.
	m.HeaderUTF8 = info.HeaderUTF8 && !info.HeaderInvalid && strings.HasPrefix(s.Protocol, "UTF8")
	return nil
}

// from decides the header From at accept. What the route allows is decided again at
// each attempt.
func (d *draft) from() (waypost.Address, bool, error) {
	submitted, err := d.header.From()
	if err != nil {
		return waypost.Address{}, false, err
	}
	// Senders and domains are kept in A-labels; the header field stays as it is.
	if ascii, err := dns.ToASCII(waypost.DomainOf(submitted.Email)); err == nil {
		submitted.Email = submitted.Email[:strings.LastIndexByte(submitted.Email, '@')+1] + ascii
	}
	if d.account.ID == waypost.PlatformOperatorID {
		return submitted, false, nil // its only sender is the platform's default one, put in at the attempt
	}
	// What is the platform's would wait for ever for another From on a server that is not.
	taken := d.account.Gateway == waypost.GatewaySMTP && d.p.o.Platform.Owns(submitted.Email)
	if _, own := d.account.SenderFor(submitted.Email); own && !taken {
		return submitted, false, nil
	}
	sender, ok := d.account.DefaultSender()
	ok = ok && !(taken && d.p.o.Platform.Owns(sender.Address))
	if d.sub.Principal.FromPolicy == waypost.FromRefuse || taken && !ok {
		return waypost.Address{}, false, &waypost.Error{
			Kind: waypost.Forbidden, Code: "from_not_allowed", Field: "from", SMTP: "5.7.1",
			Message: fmt.Sprintf("From %s is not a sender of this operator", submitted.Email),
		}
	}
	if !ok {
		return submitted, false, nil // the built-in gateway puts the platform's default sender in
	}
	name := sender.Name
	if name == "" {
		name = d.account.Name
	}
	return waypost.Address{Name: name, Email: sender.Address}, true, nil
}

// unsubscribe returns the link by which the recipient stops mail of this kind, "" for none.
// It names one recipient, and the header is the same for all: so there is one for a mail to
// one recipient only. Nothing is added to what the sender says itself, and nobody
// unsubscribes from the platform's own mail.
func (d *draft) unsubscribe() string {
	s, links := &d.sub, d.p.o.Links
	if s.Again != nil && links.Made(d.header.Get("List-Unsubscribe")) { // it may name another recipient
		d.header.Del("List-Unsubscribe", "List-Unsubscribe-Post")
	}
	can, wanted := s.Kind.Unsubscribable()
	if s.Unsubscribe != nil {
		wanted = *s.Unsubscribe
	}
	if !can || !wanted || len(s.Recipients) != 1 || d.account.ID == waypost.PlatformOperatorID ||
		d.header.Count("List-Unsubscribe") > 0 || d.header.Count("List-Unsubscribe-Post") > 0 {
		return ""
	}
	return links.URL(unsubscribe.Link{
		OperatorID: d.account.ID, MessageID: d.message.ID, Kind: s.Kind, Address: store.NormalizeAddress(s.Recipients[0]), Test: s.Principal.Test,
	})
}

func (d *draft) messageIDDomain(from waypost.Address) string {
	if d.p.domain != "" {
		return d.p.domain
	}
	if domain, err := dns.ToASCII(waypost.DomainOf(from.Email)); err == nil && domain != "" {
		return domain
	}
	return d.p.o.Hostname
}

// address makes one delivery per recipient, sets suppressed ones apart, and drops
// repetitions of the same address.
func (d *draft) address(ctx context.Context) error {
	s, m := &d.sub, d.message
	suppressed, err := d.suppressed(ctx)
	if err != nil {
		return err
	}
	next := d.now
	if s.SendAt.After(next) {
		next = s.SendAt
	}
	queued := 0
	d.deliveries = make([]waypost.Delivery, 0, len(s.Recipients))
	seen := make(map[string]bool, len(s.Recipients))
	for i, recipient := range s.Recipients {
		local, domain, err := waypost.SplitAddress(recipient)
		if err != nil {
			return recipientError(i, recipient, err)
		}
		site := domain
		if domain[0] != '[' {
			if site, err = dns.ToASCII(domain); err != nil {
				return recipientError(i, recipient, err)
			}
		}
		key := local + "@" + site
		if seen[key] {
			continue
		}
		seen[key] = true
		if m.Test {
			site = waypost.TestSite + site
		}
		del := waypost.Delivery{
			ID: waypost.NewIDAt(d.now), OperatorID: m.OperatorID, MessageID: m.ID, Recipient: recipient, Site: site,
			Kind: m.Kind, Lane: m.Lane, State: waypost.Queued, NextAt: next, Expires: s.ExpiresAt, Created: d.now, Updated: d.now,
		}
		if why, ok := d.blocked(suppressed[store.NormalizeAddress(recipient)]); ok {
			del.State, del.Cause, del.Reason = waypost.Suppressed, "suppressed", why
			d.events = append(d.events, waypost.Event{
				OperatorID: m.OperatorID, MessageID: m.ID, DeliveryID: del.ID, Type: waypost.EventSuppress,
				From: waypost.Queued, To: waypost.Suppressed, Count: 1, Actor: "policy", Detail: why, At: d.now,
			})
		}
		if del.State == waypost.Queued {
			queued++
		}
		d.deliveries = append(d.deliveries, del)
	}
	if queued > 0 {
		return nil
	}
	if s.Once != nil {
		return &waypost.Error{
			Kind: waypost.Invalid, Code: "recipient_suppressed", Field: "to", SMTP: "5.7.1",
			Message: "the recipient is on the list of addresses not to mail (" + d.deliveries[0].Reason + ")",
		}
	}
	if m.Kind == waypost.KindSecurity {
		// Its last delivery is final already, and with that its content goes.
		m.Subject, m.Header, m.Body, m.Erased = "", nil, nil, d.now
	}
	return nil
}

func recipientError(i int, recipient string, err error) error {
	return &waypost.Error{
		Kind: waypost.Invalid, Code: "invalid_recipient", Field: fmt.Sprintf("recipients[%d]", i), SMTP: "5.1.3",
		Message: fmt.Sprintf("%q: %v", recipient, err),
	}
}

func (d *draft) suppressed(ctx context.Context) (map[string][]waypost.Suppression, error) {
	if !d.account.Suppressions {
		return nil, nil
	}
	addresses := make([]string, len(d.sub.Recipients))
	for i, r := range d.sub.Recipients {
		addresses[i] = store.NormalizeAddress(r)
	}
	found, err := d.p.o.Store.SuppressionsFor(ctx, d.account.ID, addresses)
	if err != nil {
		return nil, fmt.Errorf("look up suppressions: %w", err)
	}
	return found, nil
}

// blocked reports whether a suppression applies to this mail. Codes and password
// resets reach people who want no other mail, but not addresses that do not work. Who has
// unsubscribed from one kind of mail still gets the others.
func (d *draft) blocked(entries []waypost.Suppression) (string, bool) {
	for _, e := range entries {
		if e.Kind != "" && e.Kind != d.sub.Kind {
			continue
		}
		if d.sub.Kind == waypost.KindSecurity {
			switch e.Reason {
			case waypost.SuppressedSoft, waypost.SuppressedComplaint, waypost.SuppressedUnsubscribe:
				continue
			default:
			}
		}
		why := string(e.Reason)
		if e.Detail != "" {
			why += ": " + e.Detail
		}
		return why, true
	}
	return "", false
}
