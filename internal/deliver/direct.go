package deliver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// toMX delivers straight to the site's MX hosts.
func (t *try) toMX(ctx context.Context) {
	site := t.job.Site
	for {
		s := t.d.direct.take(site)
		if s == nil {
			break
		}
		err := t.each(ctx, s)
		t.d.direct.give(site, s)
		if !errors.Is(err, errStale) {
			t.settleRest(ctx, err)
			return
		}
	}
	if t.fallback() && t.d.blocks.now() {
		t.toUpstream(ctx)
		return
	}
	started := time.Now()
	hosts, err := dns.Hosts(ctx, t.d.o.Resolver, site)
	if err != nil {
		t.noHosts(ctx, started, err)
		return
	}
	t.step(waypost.PhaseDNS, started, true, describeHosts(site, hosts), "")
	t.overHosts(ctx, hosts)
}

// noHosts reports a failed look-up. Only DNS's own clear no is permanent; the rest
// is temporary (promise 5).
func (t *try) noHosts(ctx context.Context, started time.Time, err error) {
	if ctx.Err() != nil {
		return
	}
	t.step(waypost.PhaseDNS, started, false, err.Error(), "")
	in := classify.Input{Phase: waypost.PhaseDNS, Err: err}
	var no *dns.DestinationError
	if errors.As(err, &no) {
		in.Reply = waypost.Reply{Code: 556, Enhanced: no.Status, Text: no.Reason} // RFC 7504, RFC 7505 section 4.2
	}
	t.fail(in)
}

func describeHosts(site string, hosts []dns.Host) string {
	text := site + ":"
	for _, h := range hosts {
		if h.Implicit {
			text += " " + h.Name + " (no MX, its own address)"
		} else {
			text += fmt.Sprintf(" %d %s", h.Preference, h.Name)
		}
	}
	return text
}

// overHosts tries the hosts in order, and all addresses of each, until one has
// settled the recipients. What a host says about a recipient or the message is final
// for this attempt; what it says about us sends us to the next one.
func (t *try) overHosts(ctx context.Context, hosts []dns.Host) {
	last := classify.Input{Phase: waypost.PhaseDNS, Err: errors.New("no usable MX host")}
	connected, tried := false, false
	for _, h := range hosts {
		if h.Unusable != "" {
			last = classify.Input{Phase: waypost.PhaseDNS, Err: fmt.Errorf("MX %s: %s", h.Name, h.Unusable)}
			continue
		}
		addrs, err := dns.Addresses(ctx, t.d.o.Resolver, h.Name)
		if err != nil {
			t.host, t.address = h.Name, ""
			last = classify.Input{Phase: waypost.PhaseDNS, Err: err}
			continue
		}
		for _, addr := range addrs {
			if ctx.Err() != nil || len(t.open()) == 0 {
				return
			}
			s, err := t.connectMX(ctx, h.Name, addr)
			if err != nil {
				var refused *guard.Refused
				tried = tried || !errors.As(err, &refused)
				last = inputOf(waypost.PhaseConnect, err)
				connected = connected || last.Phase != waypost.PhaseConnect
				continue
			}
			tried, connected = true, true
			t.d.blocks.worked()
			err = t.each(ctx, s)
			t.d.direct.give(t.job.Site, s)
			if err == nil || !t.left() {
				return
			}
			if phase := phaseOf(err, waypost.PhaseConnect); phase != waypost.PhaseMail || !isBadSession(err) {
				t.settleRest(ctx, err)
				return
			}
			last = inputOf(waypost.PhaseMail, err)
		}
	}
	if ctx.Err() != nil {
		return
	}
	if tried && !connected {
		t.d.blocks.failed(t.job.Site)
		if t.fallback() {
			t.toUpstream(ctx)
			return
		}
	}
	t.fail(last)
}

// isBadSession reports a session that ended before any recipient was spoken of.
func isBadSession(err error) bool {
	var e *smtpc.Error
	return errors.As(err, &e) && !e.Phase.Reached()
}

// settleRest reports what is left after a session ended early. Interrupted ones stay
// untried.
func (t *try) settleRest(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || !t.left() {
		return
	}
	in := inputOf(waypost.PhaseMail, err)
	if in.Phase.Reached() {
		// The dot of another recipient's transaction: these were not under way.
		in = classify.Input{Phase: waypost.PhaseMail, Err: errors.New("the connection was lost: " + err.Error())}
	}
	for _, i := range t.open() {
		t.report(i, in)
	}
}

// connectMX makes a session to one address of an MX host. TLS is opportunistic: no
// certificate is required, and a host whose TLS does not work gets the mail without,
// since refusing would only leave it undelivered (RFC 7435).
func (t *try) connectMX(ctx context.Context, host string, addr netip.Addr) (*session, error) {
	t.host, t.address, t.tls = host, addr.String(), ""
	plain := t.d.plain.has(host)
	s, err := t.openMX(ctx, host, addr, !plain)
	if err != nil && !plain && phaseOf(err, "") == waypost.PhaseTLS && ctx.Err() == nil {
		t.d.plain.add(host)
		s, err = t.openMX(ctx, host, addr, false)
	}
	return s, err
}

func (t *try) openMX(ctx context.Context, host string, addr netip.Addr, withTLS bool) (*session, error) {
	started := time.Now()
	target := netip.AddrPortFrom(addr, uint16(t.d.o.MXPort)) //nolint:gosec // config checks the range
	g := t.d.o.MX
	if t.job.Site == t.d.o.ReturnPath.Domain {
		g = g.WithSelf() // our own return path is the one place where we may talk to ourselves
	}
	conn, err := t.dial(ctx, g, target)
	if err != nil {
		t.step(waypost.PhaseConnect, started, false, host+" "+target.String()+": "+err.Error(), "")
		return nil, &smtpc.Error{Phase: waypost.PhaseConnect, Err: err}
	}
	t.step(waypost.PhaseConnect, started, true, host+" "+target.String(), "")
	t.address = target.String()
	s := &session{
		Session: smtpc.New(conn, smtpc.Options{HELO: t.d.o.HELO, Timeouts: t.d.o.Timeouts, Step: t.trace()}),
		host:    host, address: target.String(), fresh: true,
	}
	if err := t.greetMX(ctx, s, withTLS); err != nil {
		end(s)
		return nil, err
	}
	return s, nil
}

func (t *try) greetMX(ctx context.Context, s *session, withTLS bool) error {
	if err := s.Greet(ctx); err != nil {
		return err
	}
	if err := s.Hello(ctx); err != nil {
		return err
	}
	if !withTLS || !s.Extensions().StartTLS {
		return nil
	}
	err := s.StartTLS(ctx, &tls.Config{
		ServerName:         s.host,
		InsecureSkipVerify: true,             //nolint:gosec // opportunistic: see connectMX
		MinVersion:         tls.VersionTLS10, //nolint:gosec // better than the plaintext it would fall back to
	})
	if err != nil && s.Usable() {
		return nil // the server said no to STARTTLS and goes on in plaintext
	}
	return err
}

func (t *try) dial(ctx context.Context, g *guard.Guard, target netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.d.o.Connect)
	defer cancel()
	return g.DialAddr(ctx, target)
}
