package inbound

import (
	"context"
	"strings"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/waypost"
)

// Book is where feedback about deliveries is recorded.
type Book interface {
	// FeedbackRecipient is whom a delivery is for; the error is NotFound.
	FeedbackRecipient(ctx context.Context, deliveryID string) (string, error)
	// Feedback records what was reported about a delivery, once; false if there is nothing to
	// record it about.
	Feedback(ctx context.Context, f waypost.Feedback) (recorded bool, err error)
}

// report takes a mail to the return path of a delivery. Bounces and complaints are recorded;
// what programs answer otherwise is taken and forgotten, since a refusal would only come back
// to us; people are told that nobody reads here.
func (m *Mailbox) report(ctx context.Context, deliveryID string, a Arrival) error {
	r := ParseReport(a.Data, a.MailFrom)
	switch r.Sort {
	case SortBounce, SortComplaint:
		return m.record(ctx, deliveryID, r, a)
	case SortOther:
		if a.MailFrom == "" {
			return nil
		}
		return m.nobodyReads(ctx)
	case SortDelay, SortReceipt, SortFeedback, SortAnswer:
	}
	return nil
}

// complaint records a complaint that was sent to abuse or postmaster, if the mail it is about
// has one of our return paths in it: who has that has the mail.
func (m *Mailbox) complaint(ctx context.Context, a Arrival) error {
	r := ParseReport(a.Data, a.MailFrom)
	if r.Sort != SortComplaint {
		return nil
	}
	for _, path := range r.ReturnPaths {
		if id, ok := m.delivery(path); ok {
			return m.record(ctx, id, r, a)
		}
	}
	return nil
}

func (m *Mailbox) record(ctx context.Context, deliveryID string, r Report, a Arrival) error {
	recipient, err := m.Book.FeedbackRecipient(ctx, deliveryID)
	if waypost.KindOf(err) == waypost.NotFound {
		return nil // removed long since: nobody wants to know
	}
	if err != nil {
		return err
	}
	f, ok := r.about(recipient, m.Rules)
	if !ok {
		return nil
	}
	f.DeliveryID, f.At = deliveryID, a.At
	f.Reporter = strings.TrimSpace(r.Reporter + " [" + a.Peer.String() + "]")
	_, err = m.Book.Feedback(ctx, f)
	return err
}

// about is what a report says about a delivery's recipient. Reports about several, none of
// which it is, are of somebody's mailing list: they say nothing about it.
func (r *Report) about(recipient string, rules *classify.Rules) (waypost.Feedback, bool) {
	if r.Sort == SortComplaint {
		return waypost.Feedback{Sort: waypost.FeedbackComplaint, Symptom: waypost.SuppressedComplaint, Detail: r.Feedback}, true
	}
	var found *Reported
	failed, own := 0, false
	for i := range r.Recipients {
		one := &r.Recipients[i]
		if one.Action != "failed" && one.Action != "failure" {
			continue
		}
		failed++
		if own = same(one.Original, recipient) || same(one.Final, recipient); own {
			found = one
			break
		}
		if found == nil {
			found = one
		}
	}
	if found == nil || !own && failed > 1 {
		return waypost.Feedback{}, false
	}
	// Some servers leave the recipient out, or write it in a way of their own.
	forwarded := !own && found.Original == "" && strings.Contains(found.Final, "@")
	v := rules.Classify(classify.Input{Phase: waypost.PhaseRcpt, Reply: found.reply(), Route: waypost.RouteDirect})
	f := waypost.Feedback{Sort: waypost.FeedbackBounce, Cause: string(v.Cause), Rule: v.Evidence(), Detail: shortened(plainWords(found.Reply.String()))}
	f.BadAddress = !forwarded && (v.Suppress() || v.Cause == classify.BadDomain) // of two minds about a mailbox is no proof
	switch {
	case v.Suppress() && !forwarded:
		f.Symptom = waypost.SuppressedHard
	case v.Cause == classify.BadMailbox, v.Cause == classify.MailboxFull, v.Cause == classify.BadDomain:
		f.Symptom = waypost.SuppressedSoft
	}
	return f, true
}

// same compares addresses as people who write them do.
func same(a, b string) bool {
	return a != "" && waypost.NormalizeAddress(a) == waypost.NormalizeAddress(b)
}

// reply is what the server said, with a code where it gave none: a status of class 4 or 5
// (RFC 3464 section 2.3.4) says as much. Given up at last, what was temporary stays so: the
// address may well work.
func (r *Reported) reply() waypost.Reply {
	reply := r.Reply
	if reply.Code == 0 {
		reply.Code = 550
		if strings.HasPrefix(reply.Enhanced, "4.") {
			reply.Code = 450
		}
	}
	return reply
}

// plainWords is plain for longer texts.
func plainWords(s string) string {
	return strings.Map(func(r rune) rune {
		if waypost.Misleading(r) {
			return -1
		}
		return r
	}, s)
}
