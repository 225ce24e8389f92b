package deliver_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

// verify asks go-msgauth about the signature of what arrived.
func (w *world) verify(data []byte, domain string) {
	w.t.Helper()
	found, err := dkim.VerifyWithOptions(bytes.NewReader(data), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if name != "wp1._domainkey."+domain {
				w.t.Errorf("key wanted of %s", name)
			}
			return []string{w.keys.key.Record()}, nil
		},
	})
	switch {
	case err != nil:
		w.t.Errorf("verify: %v", err)
	case len(found) != 1:
		w.t.Errorf("%d signatures", len(found))
	case found[0].Err != nil || found[0].Domain != domain:
		w.t.Errorf("signature of %s: %v", found[0].Domain, found[0].Err)
	}
}

func TestWhatArrivesIsSigned(t *testing.T) {
	bodies := map[string]string{
		"short":            usualBody,
		"empty":            "",
		"8-bit":            "Gerät hat die Zone betreten. Ω\r\n",
		"dot lines":        ".\r\n..\r\n.hidden\r\n...\r\nend\r\n.\r\n",
		"blank lines":      "\r\n\r\n text \t with  blanks \r\n\r\n\r\n",
		"no last line end": "the last line is open",
		"long":             strings.Repeat("a line of a report, and another one; . .. ...\r\n", 40_000),
		"long lines":       strings.Repeat(strings.Repeat("0123456789", 99)+"\r\n", 500),
	}
	for name, body := range bodies {
		for _, knobs := range []mailtest.Knobs{{}, {Bare: true}, {TLS: true}} {
			t.Run(name, func(t *testing.T) {
				w, fake := mx(t, knobs, nil)
				j := direct("someone@example.test")
				j.Message = newMessage(usualHeader, body)
				j.Message.EightBit = name == "8-bit"
				outcomes(t, w.send(j), delivered)
				data := fake.Mails()[0].Data
				w.verify(data, "op.test")
				want := usualHeader + body
				if !strings.HasSuffix(want, "\r\n") {
					want += "\r\n"
				}
				if !bytes.HasPrefix(data, []byte("DKIM-Signature:")) || !bytes.HasSuffix(data, []byte(want)) {
					t.Errorf("the mail has changed on its way: %.200q", data)
				}
			})
		}
	}
}

func TestFromThatMayNotLeaveIsReplacedAndSigned(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{}, nil)
	j := direct("someone@example.test")
	j.Account.Senders = nil
	header := strings.Replace(usualHeader, "Subject:", "Sender: alarm@op.test\r\nSubject:", 1)
	j.Message = newMessage(header, usualBody)
	outcomes(t, w.send(j), delivered)
	data := string(fake.Mails()[0].Data)
	w.verify([]byte(data), "platform.test")
	if !strings.Contains(data, "From: \"Op\" <no-reply@platform.test>\r\n") || strings.Contains(data, "alarm@op.test") {
		t.Errorf("got %s", data)
	}
	if string(j.Message.Header) != header {
		t.Error("the stored header has changed")
	}
}

func TestUnsignedNeverLeaves(t *testing.T) {
	for _, kind := range []waypost.RouteKind{waypost.RouteDirect, waypost.RouteUpstream} {
		t.Run(string(kind), func(t *testing.T) {
			fake := mailtest.StartSMTP(t, mailtest.Knobs{})
			w := upstreamWorld(t, fake, "", nil)
			w.keys.fail(errTest)
			j := direct("someone@example.test").watch()
			j.Route = kind
			got := w.send(j)
			outcomes(t, got, temporary)
			if fake.Connections() != 0 || got[0].Phase != waypost.PhaseRoute {
				t.Errorf("%d connections, ended at %s", fake.Connections(), got[0].Phase)
			}
			if strings.Contains(got[0].Reply.Text, errTest.Error()) {
				t.Errorf("the operator reads %q, which is about this server", got[0].Reply.Text)
			}
			if !strings.Contains(w.log.String(), errTest.Error()) {
				t.Error("the log does not say why")
			}
			if len(j.steps) != 1 || j.steps[0].OK || j.steps[0].Phase != waypost.PhaseRoute {
				t.Errorf("steps %+v", j.steps)
			}
			w.keys.fail(nil)
			outcomes(t, w.send(direct("someone@example.test")), delivered)
			w.verify(fake.Mails()[0].Data, "op.test")
		})
	}
}

func TestFromWithoutDomainIsNotSignedAndDoesNotLeave(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{}, nil)
	j := direct("someone@example.test")
	j.Message.From.Email = "alarm@[192.0.2.1]"
	j.Account.Senders = []waypost.Sender{{Address: "alarm@[192.0.2.1]", State: waypost.SenderAssigned}}
	j.Account.Domains = []waypost.Domain{{Name: "[192.0.2.1]", Proven: time.Now(), Authorized: time.Now()}} // cannot be
	outcomes(t, w.send(j), temporary)
	if fake.Connections() != 0 {
		t.Error("something left")
	}
}

func TestOwnServerSignsItself(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{}, nil)
	w := newWorld(t, nil, nil)
	w.keys.fail(errTest)
	outcomes(t, w.send(relayed(r, "someone@example.test")), delivered)
	if got := string(fake.Mails()[0].Data); got != usualHeader+usualBody {
		t.Errorf("got %q", got)
	}
}

func TestJobsOfAMessageShareOneSignature(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{}, nil)
	a, b, other := direct("a@example.test"), direct("b@example.test"), direct("c@example.test")
	b.Message = a.Message
	other.Message = newMessage(usualHeader, "something else\r\n")
	replaced := direct("d@example.test")
	replaced.Message = a.Message
	replaced.Account.Senders = nil
	renamed := direct("e@example.test")
	renamed.Message = a.Message
	renamed.Account.Senders, renamed.Account.Name = nil, "Another name"
	for _, j := range []*job{a, b, other, replaced, renamed} {
		outcomes(t, w.send(j), delivered)
	}
	field := func(n int) string {
		data := string(fake.Mails()[n].Data)
		return data[:strings.Index(data, "\r\nFrom:")]
	}
	if field(0) != field(1) || field(0) == field(2) || field(0) == field(3) {
		t.Errorf("signatures:\n%s\n%s\n%s\n%s", field(0), field(1), field(2), field(3))
	}
	for n, domain := range []string{"op.test", "op.test", "op.test", "platform.test", "platform.test"} {
		w.verify(fake.Mails()[n].Data, domain)
	}
}
