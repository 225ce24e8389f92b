package deliver_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestTLSIsUsedWhereOfferedWhateverTheCertificate(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{TLS: true}, nil) // for mx.test, signed by itself
	got := w.send(direct("someone@example.test"))
	outcomes(t, got, delivered)
	if m := fake.Mails()[0]; m.TLS == nil || !strings.HasPrefix(got[0].TLS, "TLS 1.3 ") {
		t.Errorf("TLS %q", got[0].TLS)
	}
}

func TestBrokenTLSGetsTheMailThroughInPlaintext(t *testing.T) {
	for name, tt := range map[string]struct {
		knobs mailtest.Knobs
		conns int // new connection for plaintext?
	}{
		"garbage instead of a handshake": {mailtest.Knobs{TLS: true, BreakTLS: true, Lenient: true}, 2},
		"silence instead of a handshake": {mailtest.Knobs{TLS: true, StartTLS: mailtest.Answer{Hang: true}}, 2},
		"closed at STARTTLS":             {mailtest.Knobs{TLS: true, StartTLS: mailtest.Answer{Close: true}}, 2},
		"something injected":             {mailtest.Knobs{TLS: true, InjectTLS: "250 psst\r\n", Lenient: true}, 2},
		"STARTTLS refused for now":       {mailtest.Knobs{TLS: true, StartTLS: say("454 4.7.0 TLS not available")}, 1},
		"STARTTLS refused":               {mailtest.Knobs{TLS: true, StartTLS: say("502 5.5.1 what?")}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w, fake := mx(t, tt.knobs, short(tt.knobs))
			got := w.send(direct("someone@example.test"))
			outcomes(t, got, delivered)
			if m := fake.Mails(); len(m) != 1 || m[0].TLS != nil || got[0].TLS != "" {
				t.Errorf("%d mails, TLS %q", len(m), got[0].TLS)
			}
			if n := fake.Connections(); n != tt.conns {
				t.Errorf("%d connections, want %d", n, tt.conns)
			}
		})
	}
}

// In TLS 1.3 the client has finished before the server looks at what it sent.
func TestServerThatEndsTLSAfterTheHandshakeGetsTheMailInPlaintext(t *testing.T) {
	cert, _ := mailtest.SelfSigned(t, "mx.example.test")
	plain := mailtest.StartSMTP(t, mailtest.Knobs{})
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.1.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, dnstest.Zones{"example.test": {"A 127.0.1.1"}}, func(o *deliver.Options) { o.MXPort = l.Addr().(*net.TCPAddr).Port })
	done := make(chan []waypost.Attempt)
	go func() { done <- w.send(direct("someone@example.test").watch()) }() // not kept: forward waits for its end
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	for _, answer := range []string{"220 mx", "250-mx\r\n250 STARTTLS", "220 go"} {
		_, _ = io.WriteString(conn, answer+"\r\n")
		if answer != "220 go" {
			_, _ = br.ReadString('\n')
		}
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}
	if err := tls.Server(conn, config).HandshakeContext(t.Context()); err == nil {
		t.Error("the handshake succeeded")
	}
	conn.Close()
	forward(t, l, plain.Addr())
	got := <-done
	outcomes(t, got, delivered)
	if got[0].TLS != "" || len(plain.Mails()) != 1 {
		t.Errorf("TLS %q, %d mails", got[0].TLS, len(plain.Mails()))
	}
}

func TestHostWithBrokenTLSIsRemembered(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{TLS: true, BreakTLS: true, Lenient: true}, func(o *deliver.Options) { o.Mails = 1 })
	for range 3 {
		outcomes(t, w.send(direct("someone@example.test")), delivered)
	}
	if n := fake.Connections(); n != 4 {
		t.Errorf("%d connections for three mails, want one in vain", n)
	}
}

// relay starts a fake own SMTP server and the settings for it.
func relay(t testing.TB, knobs mailtest.Knobs, change func(*waypost.Relay)) (*mailtest.SMTP, *waypost.Relay) {
	t.Helper()
	fake := mailtest.StartSMTP(t, knobs)
	r := &waypost.Relay{Host: "127.0.0.1", Port: fake.Port(), Security: waypost.SecurityNone}
	if len(knobs.Users) > 0 {
		r.Username, r.Password = "op", "secret"
	}
	if change != nil {
		change(r)
	}
	return fake, r
}

func users() map[string]string { return map[string]string{"op": "secret"} }

func TestRelaySecurity(t *testing.T) {
	cert, pool := mailtest.SelfSigned(t, "relay.test", "127.0.0.1")
	other, _ := mailtest.SelfSigned(t, "another.test")
	tests := map[string]struct {
		knobs    mailtest.Knobs
		security waypost.Security
		trustAll bool
		want     waypost.Outcome
		phase    waypost.Phase
		inTLS    bool
	}{
		"none":                             {mailtest.Knobs{}, waypost.SecurityNone, false, delivered, waypost.PhaseDot, false},
		"none, STARTTLS offered":           {mailtest.Knobs{TLS: true}, waypost.SecurityNone, false, delivered, waypost.PhaseDot, false},
		"STARTTLS":                         {mailtest.Knobs{TLS: true, Certificate: &cert}, waypost.SecurityStartTLS, false, delivered, waypost.PhaseDot, true},
		"STARTTLS, unknown issuer":         {mailtest.Knobs{TLS: true}, waypost.SecurityStartTLS, false, routeDown, waypost.PhaseTLS, false},
		"STARTTLS, another name":           {mailtest.Knobs{TLS: true, Certificate: &other}, waypost.SecurityStartTLS, false, routeDown, waypost.PhaseTLS, false},
		"STARTTLS, trust all":              {mailtest.Knobs{TLS: true, Certificate: &other}, waypost.SecurityStartTLS, true, delivered, waypost.PhaseDot, true},
		"STARTTLS not offered":             {mailtest.Knobs{}, waypost.SecurityStartTLS, false, routeDown, waypost.PhaseTLS, false},
		"STARTTLS not offered, trust all":  {mailtest.Knobs{}, waypost.SecurityStartTLS, true, routeDown, waypost.PhaseTLS, false},
		"STARTTLS refused":                 {mailtest.Knobs{TLS: true, StartTLS: say("502 5.5.1 no")}, waypost.SecurityStartTLS, true, routeDown, waypost.PhaseTLS, false},
		"STARTTLS broken":                  {mailtest.Knobs{TLS: true, BreakTLS: true, Lenient: true}, waypost.SecurityStartTLS, true, routeDown, waypost.PhaseTLS, false},
		"STARTTLS with something injected": {mailtest.Knobs{TLS: true, InjectTLS: "250 psst\r\n", Lenient: true}, waypost.SecurityStartTLS, true, temporary, waypost.PhaseTLS, false},
		"implicit TLS":                     {mailtest.Knobs{Implicit: true, Certificate: &cert}, waypost.SecurityTLS, false, delivered, waypost.PhaseDot, true},
		"implicit TLS, unknown issuer":     {mailtest.Knobs{Implicit: true}, waypost.SecurityTLS, false, routeDown, waypost.PhaseTLS, false},
		"implicit TLS, trust all":          {mailtest.Knobs{Implicit: true, Certificate: &other}, waypost.SecurityTLS, true, delivered, waypost.PhaseDot, true},
		"implicit TLS to a plain port":     {mailtest.Knobs{}, waypost.SecurityTLS, true, routeDown, waypost.PhaseTLS, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.knobs.Users = users()
			tt.knobs.Lenient = true // the fake reads a handshake as commands
			fake, r := relay(t, tt.knobs, func(r *waypost.Relay) { r.Security, r.TrustAll = tt.security, tt.trustAll })
			w := newWorld(t, nil, func(o *deliver.Options) { o.Roots = pool })
			got := w.send(relayed(r, "someone@example.test"))
			outcomes(t, got, tt.want)
			if got[0].Phase != tt.phase {
				t.Errorf("ended at %s: %s", got[0].Phase, got[0].Reply)
			}
			switch mails := fake.Mails(); {
			case tt.want == delivered:
				if len(mails) != 1 || mails[0].AuthUser != "op" || (mails[0].TLS != nil) != tt.inTLS || (got[0].TLS != "") != tt.inTLS {
					t.Errorf("mails %+v, TLS %q", mails, got[0].TLS)
				}
			case len(mails) > 0 || slices.ContainsFunc(fake.Commands(), func(c string) bool { return strings.HasPrefix(c, "AUTH") }):
				t.Errorf("said %q although TLS was required", fake.Commands())
			}
		})
	}
}

func TestRelayLoginMechanisms(t *testing.T) {
	for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5"} {
		t.Run(mech, func(t *testing.T) {
			fake, r := relay(t, mailtest.Knobs{Users: users(), Mechanisms: []string{mech}, RequireAuth: true}, nil)
			w := newWorld(t, nil, nil)
			outcomes(t, w.send(relayed(r, "someone@example.test")), delivered)
			if m := fake.Mails(); len(m) != 1 || m[0].AuthUser != "op" {
				t.Errorf("mails %+v", m)
			}
		})
	}
}
