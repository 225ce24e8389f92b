package deliver

import (
	"context"
	"errors"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// errStale says that a kept session had died meanwhile: nothing was said over it.
var errStale = errors.New("kept session is gone")

// mail is the transaction for some deliveries.
func (t *try) mail(from string, deliveries []int) smtpc.Mail {
	m := smtpc.Mail{
		From: from, EightBit: t.job.Message.EightBit, SMTPUTF8: t.job.Message.HeaderUTF8,
		Message: t.pieces, BeforeDot: t.job.MayDot,
	}
	for _, i := range deliveries {
		m.Recipients = append(m.Recipients, t.job.Deliveries[i].Recipient)
	}
	return m
}

// send carries one transaction over a session and reports its recipients. errStale
// means that nothing happened; any other error that the session is over.
func (t *try) send(ctx context.Context, s *session, from string, deliveries []int) error {
	t.host, t.address, t.tls = s.host, s.address, s.TLS()
	res, err := s.Send(ctx, t.mail(from, deliveries))
	var e *smtpc.Error
	if errors.As(err, &e) && e.Stale && !s.fresh {
		return errStale
	}
	if err != nil && ctx.Err() != nil && !res.Dotted {
		return err // interrupted: untried, for certain
	}
	for n, i := range deliveries {
		r := res.Recipients[n]
		in := classify.Input{Phase: r.Phase, Reply: r.Reply}
		if err == nil && t.route == waypost.RouteDirect && r.Phase == waypost.PhaseMail && !r.Local &&
			classify.Classify(classify.Input{Phase: r.Phase, Reply: r.Reply, Route: t.route}).Outcome == waypost.OutcomeRouteDown {
			// About us, not about the mail: the next MX may see it otherwise (promise 5).
			return &smtpc.Error{Phase: waypost.PhaseMail, Reply: r.Reply}
		}
		if e != nil && r.Reply.Code == 0 {
			in.Err = e.Err
		}
		t.report(i, in)
	}
	return err
}

// each sends one transaction per recipient over a session, as the built-in gateway
// does. It returns errStale if nothing was said, nil if all recipients are settled.
func (t *try) each(ctx context.Context, s *session) error {
	for _, i := range t.open() {
		if err := t.job.MayTalk(&t.job.Deliveries[i]); err != nil {
			continue
		}
		if !s.Usable() {
			return errStale
		}
		if err := t.send(ctx, s, t.envelopeFrom(i), []int{i}); err != nil {
			return err
		}
		s.fresh = false
	}
	return nil
}

// phaseOf is where a session was when it failed.
func phaseOf(err error, otherwise waypost.Phase) waypost.Phase {
	var e *smtpc.Error
	if errors.As(err, &e) {
		return e.Phase
	}
	return otherwise
}
