package deliver

import (
	"context"
	"errors"
	"time"

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
	chosen := route.From(t.d.o.Platform, t.job.Account, t.job.Route, m.From)
	if chosen.Address.Email == "" {
		t.step(waypost.PhaseRoute, time.Now(), false, chosen.Why)
		t.failAll(waypost.PhaseRoute, errors.New(chosen.Why))
		return false
	}
	t.from, t.returnPath = chosen.Address, t.d.o.ReturnPath
	if chosen.ReturnDomain != "" {
		t.returnPath.Domain = chosen.ReturnDomain
	}
	header := m.Header
	if chosen.Replaced {
		header = message.ForAttempt(header, &chosen.Address)
	}
	if t.signedByOthers() {
		t.pieces = [][]byte{header, m.Body}
		return true
	}
	started := time.Now()
	domain, err := dns.ToASCII(waypost.DomainOf(t.from.Email))
	if err == nil {
		var field []byte
		if field, err = t.sign(ctx, domain, header, chosen); err == nil {
			t.pieces = [][]byte{field, header, m.Body}
			return true
		}
	}
	if ctx.Err() != nil {
		return false
	}
	// Why it cannot be signed is for the log: it is about this server, and the report is
	// read by the operator.
	t.d.o.Log.Error("cannot sign", "message", m.ID, "domain", domain, "error", err)
	t.step(waypost.PhaseRoute, started, false, errUnsigned.Error())
	t.failAll(waypost.PhaseRoute, errUnsigned)
	return false
}

// signedByOthers reports whether the server that takes the mail signs it: what an
// operator's own server does is its business, and the platform's upstream may be declared
// as signing (promise 6 of the design).
func (t *try) signedByOthers() bool {
	return t.job.Route == waypost.RouteRelay || t.job.Route == waypost.RouteUpstream && t.d.o.UpstreamSigns
}

// sign returns the DKIM-Signature field. One signature does for all jobs of a message
// that leave with the same From.
func (t *try) sign(ctx context.Context, domain string, header []byte, from route.Chosen) ([]byte, error) {
	signer, err := t.d.o.Keys.Signer(ctx, domain)
	if err != nil {
		return nil, err
	}
	m := t.job.Message
	key := signatureKey{message: m.ID, from: from.Address, replaced: from.Replaced, signer: signer}
	return t.d.signatures.get(key, func() ([]byte, error) {
		return signer.Sign(header, m.Body, t.d.o.Now())
	})
}

// envelopeFrom is the return path for delivery i over this route.
func (t *try) envelopeFrom(i int) string {
	if t.job.Route == waypost.RouteRelay {
		return route.EnvelopeFrom(t.d.o.Platform, t.job.Account, t.from)
	}
	return t.returnPath.Address(t.job.Deliveries[i].ID)
}
