package deliver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// maxSearch is how long an attempt looks for a host that takes the mail: past it no
// further address is dialed. A domain of 20 silent hosts does not keep a slot for hours.
const maxSearch = 15 * time.Minute

// toMX delivers straight to the site's MX hosts.
func (t *try) toMX(ctx context.Context) {
	t.d.blocks.sending(t.owner())
	var last failure
	var done bool
	avoid := "" // a host that has said no to us just now
	known := t.d.names.of(t.job.Site)
	if known != "" {
		if t.resolved(known) != nil {
			return // it waits for its turn there
		}
		if avoid, done = t.overKept(ctx, &last); done {
			return
		}
	}
	if t.fallback() {
		diverts, probe := t.d.blocks.diverts(t.owner(), t.job.Lane == waypost.LaneAlarm)
		if diverts {
			t.toUpstream(ctx)
			return
		}
		t.probe = probe
	}
	started := time.Now()
	hosts, err := dns.Hosts(ctx, t.d.o.Resolver, t.job.Site)
	if err != nil {
		t.noHosts(ctx, started, err)
		return
	}
	t.step(waypost.PhaseDNS, started, true, describeHosts(t.job.Site, hosts))
	if name := t.nameOf(hosts); name != known {
		if t.resolved(name) != nil {
			return
		}
		t.d.names.add(t.job.Site, name)
		if last.in.Phase == "" { // there may be a session that mail of another domain has opened
			if avoid, done = t.overKept(ctx, &last); done {
				return
			}
		}
	}
	t.overHosts(ctx, hosts, avoid, last)
}

// overKept tries the kept sessions to the site's hosts. It returns the host that has said
// no to us, "" if none has, and whether the attempt is over.
func (t *try) overKept(ctx context.Context, last *failure) (avoid string, done bool) {
	for s := t.keptMX(); s != nil; s = t.keptMX() {
		err := t.each(ctx, s)
		if errors.Is(err, errStale) {
			t.d.direct.give(t.mx, s)
			continue
		}
		if t.over(ctx, err) {
			t.d.direct.give(t.mx, s)
			t.settleRest(ctx, err)
			return "", true
		}
		end(s)
		last.note(inputOf(waypost.PhaseMail, err), t.at)
		switch {
		case t.asked(last.in):
			t.failWith(*last)
			return "", true
		case last.in.Reply.Code != 0:
			return s.host, false
		}
		return "", false
	}
	return "", false
}

// keptMX returns a kept session to the site's hosts, nil if there is none for this job.
func (t *try) keptMX() *session {
	if t.watched() {
		return nil
	}
	return t.d.direct.take(t.mx)
}

// over reports whether a session's end is the attempt's end: all is said, or nobody
// knows, or this job must not go on. Otherwise the next host may be asked.
func (t *try) over(ctx context.Context, err error) bool {
	return err == nil || ctx.Err() != nil || t.vetoed || phaseOf(err).Reached() || !t.left()
}

// noHosts reports a failed look-up. Only DNS's own clear no is permanent; the rest
// is temporary (promise 5).
func (t *try) noHosts(ctx context.Context, started time.Time, err error) {
	if ctx.Err() != nil {
		return
	}
	t.confide(t.job.Site, err)
	t.step(waypost.PhaseDNS, started, false, words(waypost.PhaseDNS, err))
	t.at = place{}
	in := classify.Input{Phase: waypost.PhaseDNS, Err: err}
	if no, ok := errors.AsType[*dns.DestinationError](err); ok {
		in.Reply = waypost.Reply{Code: 556, Enhanced: no.Status, Text: no.Reason} // RFC 7504, RFC 7505 section 4.2
	}
	t.fail(in)
}

func describeHosts(site string, hosts []dns.Host) string {
	var b strings.Builder
	b.WriteString(site + ":")
	for _, h := range hosts {
		if h.Implicit {
			b.WriteString(" " + h.Name + " (no MX, its own address)")
		} else {
			fmt.Fprintf(&b, " %d %s", h.Preference, h.Name)
		}
	}
	return b.String()
}

// overHosts tries the hosts in order, and all addresses of each, until one has
// settled the recipients. What a host says about a recipient or the message is final
// for this attempt; what it says about us sends us to the next one.
func (t *try) overHosts(ctx context.Context, hosts []dns.Host, avoid string, last failure) {
	if last.in.Phase == "" {
		last.in = classify.Input{Phase: waypost.PhaseDNS, Err: errors.New("no usable MX host")}
	}
	seen, began := reached{}, time.Now()
hosts:
	for _, h := range hosts {
		if h.Unusable != "" {
			err := fmt.Errorf("MX %s: %s", h.Name, h.Unusable)
			last.note(classify.Input{Phase: waypost.PhaseDNS, Err: err}, place{host: h.Name})
			continue
		}
		if h.Name == avoid {
			seen.connected = true
			continue
		}
		addrs, err := dns.Addresses(ctx, t.d.o.Resolver, h.Name)
		if err != nil {
			t.confide(h.Name, err)
			last.note(classify.Input{Phase: waypost.PhaseDNS, Err: err}, place{host: h.Name})
			continue
		}
		for _, addr := range addrs {
			if ctx.Err() != nil || !t.left() {
				return
			}
			if seen.dialed && time.Since(t.started) > maxSearch {
				break hosts
			}
			err := t.talk(ctx, h.Name, addr)
			if t.over(ctx, err) {
				t.settleRest(ctx, err)
				return
			}
			in := inputOf(waypost.PhaseConnect, err)
			last.note(in, t.at)
			seen.note(in, addr)
			if t.asked(in) {
				break hosts
			}
			if t.probe && seen.nothing() {
				break hosts // that is what it was to find out
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	if seen.dialed && !seen.connected {
		if seen.nothing() {
			t.d.blocks.failed(t.owner(), t.job.Site, began)
		}
		if t.fallback() {
			t.toUpstream(ctx)
			return
		}
	}
	t.failWith(last)
}

// talk opens sessions to one address of an MX host until everything is said or one of
// them fails: a server may end a session after any mail.
func (t *try) talk(ctx context.Context, host string, addr netip.Addr) error {
	for {
		s, err := t.connectMX(ctx, host, addr)
		if err != nil {
			return err
		}
		err = t.each(ctx, s)
		if t.watched() || (err != nil && !errors.Is(err, errStale)) {
			end(s) // what refused us is not kept for others
		} else {
			t.d.direct.give(t.mx, s)
		}
		if !errors.Is(err, errStale) {
			return err
		}
	}
}

// connectMX makes a session to one address of an MX host. TLS is opportunistic: no
// certificate is required, and a host whose TLS does not work gets the mail without,
// since refusing would only leave it undelivered (RFC 7435).
func (t *try) connectMX(ctx context.Context, host string, addr netip.Addr) (*session, error) {
	if t.d.plain.has(host) {
		return t.openMX(ctx, host, addr, false)
	}
	s, err := t.openMX(ctx, host, addr, true)
	if err == nil || phaseOf(err) != waypost.PhaseTLS || ctx.Err() != nil {
		return s, err
	}
	if s, err = t.openMX(ctx, host, addr, false); err == nil {
		t.d.plain.add(host)
	}
	return s, err
}

func (t *try) openMX(ctx context.Context, host string, addr netip.Addr, withTLS bool) (*session, error) {
	started := time.Now()
	target := netip.AddrPortFrom(addr, uint16(t.d.o.MXPort))
	t.at = place{host: host, address: target.String()}
	g := t.d.o.MX
	if t.job.Site == t.d.o.ReturnPath.Domain {
		g = g.WithSelf() // our own return path is the one place where we may talk to ourselves
	}
	dialCtx, cancel := context.WithTimeout(ctx, t.d.o.Connect)
	conn, err := g.DialAddr(dialCtx, target)
	cancel()
	if err != nil {
		where := host + " " + target.String()
		if _, refused := errors.AsType[*guard.Refused](err); refused {
			// Where a name leads inside our network is not the operator's to know.
			t.at.address, where = "", host
		}
		t.confide(host, err)
		t.step(waypost.PhaseConnect, started, false, where+": "+words(waypost.PhaseConnect, err))
		return nil, &smtpc.Error{Phase: waypost.PhaseConnect, Err: err}
	}
	t.step(waypost.PhaseConnect, started, true, host+" "+target.String())
	if t.job.Site != t.d.o.ReturnPath.Domain { // ourselves, whatever is closed outwards
		t.d.blocks.answered()
	}
	s := t.newSession(conn, host, target.String())
	err = greetMX(ctx, s, withTLS)
	t.at.tls = s.TLS()
	if err != nil {
		end(s)
		return nil, err
	}
	return s, nil
}

func greetMX(ctx context.Context, s *session, withTLS bool) error {
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
		MinVersion:         tls.VersionTLS10, // better than the plaintext it would fall back to
	})
	if err == nil || s.Usable() { // a server that says no to STARTTLS goes on in plaintext
		return nil
	}
	// In TLS 1.3 a server that dislikes our side of the handshake says so when we think
	// it is over: with no answer to the EHLO inside.
	if in := inputOf(waypost.PhaseTLS, err); in.Reply.Code == 0 {
		return &smtpc.Error{Phase: waypost.PhaseTLS, Err: in.Err}
	}
	return err
}
