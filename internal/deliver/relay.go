package deliver

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	// recipientsPerMail is how many recipients one transaction carries where the relay
	// tells no limit: every server must take 100 (RFC 5321 section 4.5.3.1.8).
	recipientsPerMail = 100
	// relayAddresses is how many addresses of a relay the guard tries.
	relayAddresses = 8
)

// fallback reports whether the upstream stands behind direct delivery for this job. A
// mail that may have arrived stays on its route.
func (t *try) fallback() bool {
	p := t.d.o.Platform
	return p.Upstream != nil && p.UpstreamMode == route.UpstreamFallback && !t.job.Pinned
}

// toUpstream hands the mail to the platform's upstream relay, signed (unless the upstream
// does that) and with our return paths, as direct delivery would.
func (t *try) toUpstream(ctx context.Context) {
	t.route = waypost.RouteUpstream
	t.overRelay(ctx, relayTo{relay: t.d.o.Platform.Upstream, guard: t.d.o.Upstream, owner: "upstream"}, t.each)
}

// toRelay hands the mail to the operator's own server: one transaction for all
// recipients of the message.
func (t *try) toRelay(ctx context.Context) {
	t.overRelay(ctx, relayTo{relay: t.job.Relay, guard: t.d.o.Relays, owner: t.job.Account.ID}, t.together)
}

// together sends one transaction for as many recipients as the relay takes at once.
func (t *try) together(ctx context.Context, s *session) error {
	for {
		open := t.open()
		if len(open) == 0 {
			return nil
		}
		if s.spent() {
			return errStale
		}
		n := recipientsPerMail
		if most := s.Extensions().RcptMax; most > 0 {
			n = most
		}
		open = open[:min(n, len(open))]
		if err := t.send(ctx, s, t.envelopeFrom(open[0]), open); err != nil {
			return err
		}
	}
}

// relayTo is a relay with who may talk to it and how.
type relayTo struct {
	relay *waypost.Relay
	guard *guard.Guard
	owner string // operator, or "upstream"
}

// key names everything a session depends on: changed settings never meet an old
// session, and nobody meets another operator's, or one that was dialed past the guard.
// The password is in it as a hash only.
func (r relayTo) key() string {
	sum := sha256.Sum256([]byte(r.relay.Password))
	return r.owner + "|" + r.relay.Host + "|" + strconv.Itoa(r.relay.Port) + "|" + string(r.relay.Security) + "|" +
		strconv.FormatBool(r.relay.TrustAll) + "|" + r.relay.Username + "|" + hex.EncodeToString(sum[:])
}

// overRelay carries the job over kept or new sessions to a relay. A server may end a
// session after any mail; another one then goes on.
func (t *try) overRelay(ctx context.Context, r relayTo, carry func(context.Context, *session) error) {
	if r.relay == nil {
		t.failAll(waypost.PhaseRoute, errors.New("there are no settings of the SMTP server"))
		return
	}
	key := r.key()
	for {
		s, err := t.relaySession(ctx, r, key)
		if err != nil {
			if ctx.Err() == nil {
				t.fail(inputOf(waypost.PhaseConnect, err))
			}
			return
		}
		err = carry(ctx, s)
		if t.watched() || (err != nil && !errors.Is(err, errStale)) {
			end(s) // what refused us is not kept for the next mail
		} else {
			t.d.relays.give(key, s)
		}
		if !errors.Is(err, errStale) {
			t.settleRest(ctx, err)
			return
		}
	}
}

// relaySession returns a kept session or logs in. When that would be one login too many
// it waits for either.
func (t *try) relaySession(ctx context.Context, r relayTo, key string) (*session, error) {
	for ctx.Err() == nil {
		if !t.watched() {
			if s := t.d.relays.take(key); s != nil {
				return s, nil
			}
		}
		wait := time.Duration(0)
		if r.relay.Username != "" {
			wait = t.d.logins.next(key, time.Now())
		}
		if wait == 0 {
			return t.connectRelay(ctx, r)
		}
		waitFor := key
		if t.watched() {
			waitFor = "" // nobody gives anything there
		}
		if s := t.d.relays.await(ctx, waitFor, wait); s != nil {
			return s, nil
		}
	}
	return nil, ctx.Err()
}

func (t *try) connectRelay(ctx context.Context, r relayTo) (*session, error) {
	target := net.JoinHostPort(r.relay.Host, strconv.Itoa(r.relay.Port))
	t.at = place{host: r.relay.Host}
	started := time.Now()
	// Each address has the guard's own limit; this one is for all of them.
	dialCtx, cancel := context.WithTimeout(ctx, relayAddresses*t.d.o.Connect)
	conn, err := r.guard.DialContext(dialCtx, "tcp", target)
	cancel()
	if err != nil {
		t.confide(r.relay.Host, err)
		if lookUpFailed(err) {
			t.step(waypost.PhaseDNS, started, false, words(waypost.PhaseDNS, err))
			return nil, &smtpc.Error{Phase: waypost.PhaseDNS, Err: err}
		}
		t.step(waypost.PhaseDNS, started, true, r.relay.Host)
		t.step(waypost.PhaseConnect, started, false, target+": "+words(waypost.PhaseConnect, err))
		return nil, &smtpc.Error{Phase: waypost.PhaseConnect, Err: err}
	}
	t.at.address = conn.RemoteAddr().String()
	t.step(waypost.PhaseDNS, started, true, r.relay.Host+" is "+t.at.address)
	t.step(waypost.PhaseConnect, started, true, t.at.address)
	s := t.newSession(conn, r.relay.Host, t.at.address)
	err = t.login(ctx, s, r.relay)
	t.at.tls = s.TLS()
	if err != nil {
		if phase := phaseOf(err); !t.stumbled && phase != "" { // nothing was said: what we wanted was not on offer
			t.step(phase, time.Now(), false, words(phase, err))
		}
		end(s)
		return nil, err
	}
	return s, nil
}

// lookUpFailed reports whether a dial got no further than the name.
func lookUpFailed(err error) bool {
	if _, ok := errors.AsType[*dns.Error](err); ok {
		return true
	}
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// login brings a session to where it can carry mail. TLS that was chosen is required:
// nothing falls back to plaintext.
func (t *try) login(ctx context.Context, s *session, r *waypost.Relay) error {
	config := &tls.Config{
		ServerName: r.Host, RootCAs: t.d.o.Roots, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: r.TrustAll, //nolint:gosec // the operator's choice, with a visible warning
	}
	if r.Security == waypost.SecurityTLS {
		if err := s.ImplicitTLS(ctx, config); err != nil {
			return err
		}
	}
	if err := s.Greet(ctx); err != nil {
		return err
	}
	if err := s.Hello(ctx); err != nil {
		return err
	}
	if r.Security == waypost.SecurityStartTLS {
		if err := s.StartTLS(ctx, config); err != nil {
			return err
		}
	}
	if r.Username == "" {
		return nil
	}
	return s.Auth(ctx, r.Username, r.Password)
}
