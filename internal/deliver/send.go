package deliver

import (
	"context"
	"errors"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// Why a session was left although deliveries are open. Any other error is an
// *smtpc.Error, or the context's.
var (
	// errStale says that the session takes no further mail and nothing was said over it
	// about this one: another session may go on at once.
	errStale = errors.New("session takes no further mail")
	// errVetoed says that MayDot said no: this node may not talk any more.
	errVetoed = errors.New("stopped before the final dot")
)

// mail is the transaction for some deliveries.
func (t *try) mail(from string, deliveries []int) smtpc.Mail {
	m := smtpc.Mail{
		From: from, EightBit: t.job.Message.EightBit, SMTPUTF8: t.job.Message.HeaderUTF8, Message: t.pieces,
		AfterDot: t.job.AfterDot, Recipients: make([]string, len(deliveries)),
		BeforeDot: func() error {
			err := t.job.MayDot()
			t.vetoed = t.vetoed || err != nil
			return err
		},
	}
	for n, i := range deliveries {
		m.Recipients[n] = t.job.Deliveries[i].Recipient
	}
	return m
}

// send carries one transaction over a session and reports its recipients. With an
// error the session is of no more use for this job; recipients it does not report are
// with nobody, for certain.
func (t *try) send(ctx context.Context, s *session, from string, deliveries []int) error {
	t.at = place{s.host, s.address, s.TLS()}
	res, err := s.Send(ctx, t.mail(from, deliveries))
	s.mails++
	e, _ := errors.AsType[*smtpc.Error](err)
	switch {
	case err == nil:
	case e != nil && e.Stale:
		return errStale
	case res.Dotted:
	case ctx.Err() != nil:
		return ctx.Err()
	case t.vetoed:
		return errVetoed
	}
	if t.route == waypost.RouteDirect {
		if elsewhere := t.elsewhere(res, e); elsewhere != nil {
			return elsewhere
		}
	}
	crowded := overCrowded(res)
	var down error
	for n, i := range deliveries {
		r := res.Recipients[n]
		if crowded && tooMany(r) {
			continue
		}
		in := classify.Input{Phase: r.Phase, Reply: r.Reply}
		if e != nil && r.Reply.Code == 0 {
			in.Err = e.Err
		}
		if t.report(i, in) == waypost.OutcomeRouteDown && r.Phase == waypost.PhaseMail && !r.Local {
			// What is said to MAIL about us holds for the next mail as well.
			down = &smtpc.Error{Phase: r.Phase, Reply: r.Reply}
		}
	}
	if err != nil {
		return err
	}
	return down
}

// elsewhere returns why the next MX host should be asked, nil if what this one said is
// to be reported (promise 5): it broke off before the final dot, or said to MAIL what is
// not about the mail. With an MX there is one recipient a transaction.
func (t *try) elsewhere(res smtpc.Result, e *smtpc.Error) error {
	r := res.Recipients[0]
	switch {
	case e != nil:
		if e.Phase.Reached() || (r.Reply.Code >= 400 && r.Reply.Code != 421) {
			return nil // nobody knows, or it has been refused in person
		}
		return e
	case r.Phase == waypost.PhaseMail && !r.Local:
		in := classify.Input{Phase: r.Phase, Reply: r.Reply, Route: t.route}
		if t.d.o.Rules.Classify(in).Outcome != waypost.OutcomePermanent {
			return &smtpc.Error{Phase: r.Phase, Reply: r.Reply}
		}
	}
	return nil
}

// tooMany reports that a server takes no more recipients in this transaction; the
// others are to get one of their own (RFC 5321 section 4.5.3.1.10).
func tooMany(r smtpc.Recipient) bool {
	if r.Phase != waypost.PhaseRcpt || r.Local || (r.Reply.Code != 452 && r.Reply.Code != 552) {
		return false
	}
	e := r.Reply.Enhanced
	return e == "" || e == "4.5.3" || e == "5.5.3"
}

// overCrowded reports whether a transaction had too many recipients: some were taken
// and others were not.
func overCrowded(res smtpc.Result) bool {
	taken, refused := false, false
	for _, r := range res.Recipients {
		refused = refused || tooMany(r)
		taken = taken || r.Delivered()
	}
	return taken && refused
}

// each sends one transaction per recipient over a session, as the built-in gateway
// does. It returns nil when all recipients are settled, or may not be tried now.
func (t *try) each(ctx context.Context, s *session) error {
	for i := range t.job.Deliveries {
		if t.done[i] || t.job.MayTalk(&t.job.Deliveries[i]) != nil {
			continue
		}
		if s.spent() {
			return errStale
		}
		if err := t.send(ctx, s, t.envelopeFrom(i), []int{i}); err != nil {
			return err
		}
	}
	return nil
}

// settleRest reports what is left after a session ended early. What was interrupted,
// or may not be tried now, stays untried.
func (t *try) settleRest(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || errors.Is(err, errVetoed) || !t.left() {
		return
	}
	in := inputOf(waypost.PhaseMail, err)
	if in.Phase.Reached() {
		// The dot of another recipient's transaction: these were not under way.
		in = classify.Input{Phase: waypost.PhaseMail, Err: errors.New("the connection was lost: " + words(in.Phase, err))}
	}
	for _, i := range t.open() {
		t.report(i, in)
	}
}
