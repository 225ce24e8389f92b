package deliver

import (
	"context"
	"errors"
	"fmt"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

var errUnsigned = errors.New("the mail cannot be signed, and unsigned it does not leave")

// prepare fixes the message as it leaves over this route. It reports whether there is
// something to send.
func (t *try) prepare(ctx context.Context) bool {
	m := t.job.Message
	chosen := route.From(t.d.o.Platform, t.job.Account, t.job.Route, m.From, t.d.o.Authorized)
	t.from = chosen.Address
	header := m.Header
	if chosen.Replaced {
		header = message.ForAttempt(header, &chosen.Address)
	}
	t.pieces = [][]byte{header, m.Body}
	if t.job.Route == waypost.RouteRelay { // what the operator's server signs is its business
		return true
	}
	domain, err := dns.ToASCII(waypost.DomainOf(t.from.Email))
	if err != nil {
		t.fail(classify.Input{Phase: waypost.PhaseRoute, Err: fmt.Errorf("%w: domain of %q: %w", errUnsigned, t.from.Email, err)})
		return false
	}
	signer, err := t.d.o.Keys.Signer(ctx, domain)
	if err == nil {
		var field []byte
		if field, err = signer.Sign(header, m.Body, t.d.o.Now()); err == nil {
			t.pieces = [][]byte{field, header, m.Body}
			return true
		}
	}
	t.d.o.Log.Error("cannot sign", "message", m.ID, "domain", domain, "error", err)
	t.fail(classify.Input{Phase: waypost.PhaseRoute, Err: fmt.Errorf("%w: %w", errUnsigned, err)})
	return false
}

// envelopeFrom is the return path for delivery i over this route.
func (t *try) envelopeFrom(i int) string {
	if t.job.Route == waypost.RouteRelay {
		return route.EnvelopeFrom(t.job.Account, t.from)
	}
	return t.d.o.ReturnPath.Address(t.job.Deliveries[i].ID)
}
