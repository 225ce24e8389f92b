package deliver_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

// told is all that an operator can read of a job.
func told(j *job) string {
	var b strings.Builder
	for _, a := range j.attempts {
		fmt.Fprintf(&b, "attempt: %s %s %s %s\n", a.Host, a.Address, a.TLS, a.Reply)
	}
	for _, s := range j.steps {
		fmt.Fprintf(&b, "stage: %s %s\n", s.Detail, s.Reply)
	}
	return b.String()
}

func TestTextOfACertificateIsCutAndCleaned(t *testing.T) {
	evil := "\x1b[31mEVIL\x1b]0;pwn\x07\r\n\x00" + strings.Repeat("x", 50<<10)
	cert, pool := mailtest.SelfSigned(t, evil)
	for name, knobs := range map[string]mailtest.Knobs{
		"implicit TLS": {Implicit: true, Certificate: &cert},
		"STARTTLS":     {TLS: true, Certificate: &cert},
	} {
		t.Run(name, func(t *testing.T) {
			_, r := relay(t, knobs, func(r *waypost.Relay) {
				r.Host, r.Security = "mail.op.test", waypost.SecurityStartTLS
				if knobs.Implicit {
					r.Security = waypost.SecurityTLS
				}
			})
			w := newWorld(t, dnstest.Zones{"mail.op.test": {"A 127.0.0.1"}}, func(o *deliver.Options) { o.Roots = pool })
			j := relayed(r, "a@example.test", "b@example.test").watch()
			outcomes(t, w.send(j), routeDown, routeDown)
			texts := []string{j.attempts[0].Reply.Text, j.attempts[1].Reply.Text}
			for _, s := range j.steps {
				texts = append(texts, s.Detail, strings.ReplaceAll(s.Reply, "\n", " "))
			}
			for _, text := range texts {
				if len(text) > 1<<10 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
					t.Errorf("%d bytes: %.80q", len(text), text)
				}
			}
			if !strings.Contains(texts[0], "EVIL") {
				t.Errorf("what is wrong does not show: %.80q", texts[0])
			}
		})
	}
}

func TestAddressOfARefusedHostIsForTheLogOnly(t *testing.T) {
	zones := dnstest.Zones{
		"example.test": {"MX 10 mx.internal.test"}, "mx.internal.test": {"A 10.77.66.55"}, "wiki.internal.test": {"A 10.77.66.55"},
	}
	for name, tt := range map[string]struct {
		job *job
		why string
	}{
		"MX":         {direct("a@example.test"), "private address"},
		"own server": {relayed(&waypost.Relay{Host: "wiki.internal.test", Port: 587}, "a@example.test"), "private address"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, zones, nil)
			outcomes(t, w.send(tt.job.watch()), temporary)
			if text := told(tt.job); strings.Contains(text, "10.77") || !strings.Contains(text, tt.why) {
				t.Errorf("the operator reads:\n%s", text)
			}
			if !strings.Contains(w.log.String(), "10.77.66.55") {
				t.Errorf("the owner's log:\n%s", w.log)
			}
		})
	}
}

func TestOurResolverIsForTheLogOnly(t *testing.T) {
	for name, j := range map[string]*job{
		"MX":            direct("a@example.test"),
		"address of MX": direct("a@other.test"),
		"own server":    relayed(&waypost.Relay{Host: "mail.op.test", Port: 587}, "a@example.test"),
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			w = newWorld(t, dnstest.Zones{"other.test": {"MX 10 mx.other.test"}}, func(o *deliver.Options) {
				o.Log = slog.New(slog.NewTextHandler(logOf(&w), &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			for _, broken := range []string{"example.test", "mx.other.test", "mail.op.test"} {
				w.dns.Fault(broken, dnstest.ServFail)
			}
			outcomes(t, w.send(j.watch()), temporary)
			server := netip.MustParseAddrPort(w.dns.Addr)
			if text := told(j); strings.Contains(text, server.String()) || !strings.Contains(text, "server failure") {
				t.Errorf("the operator reads:\n%s", text)
			}
			if !strings.Contains(w.log.String(), server.String()) {
				t.Errorf("the owner's log:\n%s", w.log)
			}
		})
	}
}

// logOf writes into the log of a world that is being made.
func logOf(w **world) writer { return func(p []byte) (int, error) { return (*w).log.Write(p) } }

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestAddressThatIsDialedIsTold(t *testing.T) {
	w := newWorld(t, dnstest.Zones{"example.test": {"A 127.0.1.9"}}, func(o *deliver.Options) {
		o.MX = newGuard(t, guard.Options{Allow: loopback()})
	})
	j := direct("a@example.test").watch()
	outcomes(t, w.send(j), temporary)
	if text := told(j); !strings.Contains(text, "127.0.1.9:25: nothing listens there") || j.attempts[0].Address != "127.0.1.9:25" {
		t.Errorf("the operator reads:\n%s", text)
	}
}

func TestStageOfADomainWithManyHostsIsCut(t *testing.T) {
	var records []string
	for n := range 20 {
		records = append(records, fmt.Sprintf("MX 10 mx%d.%stest", n, strings.Repeat(strings.Repeat("x", 60)+".", 3)))
	}
	w := newWorld(t, dnstest.Zones{"example.test": records}, nil)
	j := direct("a@example.test").watch()
	outcomes(t, w.send(j), temporary)
	if len(j.steps) == 0 || !strings.HasPrefix(j.steps[0].Detail, "example.test: 10 mx") || len(j.steps[0].Detail) > 1<<10 {
		t.Errorf("stages %+v", j.steps)
	}
}
