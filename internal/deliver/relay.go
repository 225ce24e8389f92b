package deliver

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// recipientsPerMail is how many recipients one transaction carries where the relay
// tells no limit: every server must take 100 (RFC 5321 section 4.5.3.1.8).
const recipientsPerMail = 100

// fallback reports whether the upstream stands behind direct delivery for this job. A
// mail that may have arrived stays on its route.
func (t *try) fallback() bool {
	p := t.d.o.Platform
	return p.Upstream != nil && p.UpstreamMode == route.UpstreamFallback && !t.job.Pinned
}

// toUpstream hands the mail to the platform's upstream relay, signed and with our
// return paths, as direct delivery would.
func (t *try) toUpstream(ctx context.Context) {
	t.route = waypost.RouteUpstream
	relay := t.d.o.Platform.Upstream
	t.overRelay(ctx, relay, t.d.o.Upstream, func(ctx context.Context, s *session) error { return t.each(ctx, s) })
}

// toRelay hands the mail to the operator's own server: one transaction for all
// recipients of the message.
func (t *try) toRelay(ctx context.Context, g *guard.Guard) {
	t.overRelay(ctx, t.job.Relay, g, func(ctx context.Context, s *session) error {
		open := t.open()
		for len(open) > 0 {
			n := recipientsPerMail
			if most := s.Extensions().RcptMax; most > 0 {
				n = most
			}
			n = min(n, len(open))
			if !s.Usable() {
				return errStale
			}
			if err := t.send(ctx, s, t.envelopeFrom(open[0]), open[:n]); err != nil {
				return err
			}
			s.fresh = false
			open = open[n:]
		}
		return nil
	})
}

func (t *try) overRelay(ctx context.Context, r *waypost.Relay, g *guard.Guard, carry func(context.Context, *session) error) {
	key := relayKey(r)
	if t.job.Step == nil { // whoever watches wants to see every stage
		for {
			s := t.d.relays.take(key)
			if s == nil {
				break
			}
			err := carry(ctx, s)
			t.d.relays.give(key, s)
			if !errors.Is(err, errStale) {
				t.settleRest(ctx, err)
				return
			}
		}
	}
	s, err := t.connectRelay(ctx, r, g, key)
	if err != nil {
		if ctx.Err() == nil {
			t.fail(inputOf(waypost.PhaseConnect, err))
		}
		return
	}
	err = carry(ctx, s)
	t.d.relays.give(key, s)
	t.settleRest(ctx, err)
}

// relayKey names everything a session to a relay depends on, so that changed settings
// never meet an old session. The password is in it as a hash only.
func relayKey(r *waypost.Relay) string {
	sum := sha256.Sum256([]byte(r.Password))
	return fmt.Sprintf("%s|%d|%s|%t|%s|%s", r.Host, r.Port, r.Security, r.TrustAll, r.Username, hex.EncodeToString(sum[:8]))
}

func (t *try) connectRelay(ctx context.Context, r *waypost.Relay, g *guard.Guard, key string) (*session, error) {
	target := net.JoinHostPort(r.Host, strconv.Itoa(r.Port))
	t.host, t.address, t.tls = r.Host, "", ""
	if err := t.d.logins.wait(ctx, key); err != nil {
		return nil, &smtpc.Error{Phase: waypost.PhaseConnect, Err: fmt.Errorf("waiting for the next login: %w", err)}
	}
	started := time.Now()
	dialCtx, cancel := context.WithTimeout(ctx, t.d.o.Connect)
	conn, err := g.DialContext(dialCtx, "tcp", target)
	cancel()
	if err != nil {
		phase := waypost.PhaseConnect
		var lookup *net.DNSError
		if errors.As(err, &lookup) {
			phase = waypost.PhaseDNS
		}
		t.step(phase, started, false, target+": "+err.Error(), "")
		return nil, &smtpc.Error{Phase: phase, Err: err}
	}
	t.address = conn.RemoteAddr().String()
	t.step(waypost.PhaseDNS, started, true, r.Host+" is "+t.address, "")
	t.step(waypost.PhaseConnect, started, true, t.address, "")
	s := &session{
		Session: smtpc.New(conn, smtpc.Options{HELO: t.d.o.HELO, Timeouts: t.d.o.Timeouts, Step: t.trace()}),
		host:    r.Host, address: t.address, fresh: true,
	}
	if err := t.login(ctx, s, r); err != nil {
		end(s)
		return nil, err
	}
	t.tls = s.TLS()
	return s, nil
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
