package e2e_test

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	mdns "github.com/miekg/dns"

	"github.com/waypost/waypost/internal/mailtest"
)

// publish puts the records that the platform's owner is told to publish into the DNS.
func (w *world) publish() {
	w.t.Helper()
	var platform struct {
		Records []struct{ Type, Name, Value string }
	}
	w.json(&platform, "platform", "dns")
	zone := map[string][]string{}
	for _, r := range platform.Records {
		value := r.Value
		if r.Type == "TXT" {
			value = quoted(value)
		}
		zone[r.Name] = append(zone[r.Name], r.Type+" "+value)
	}
	for name, records := range zone {
		w.dns.Set(name, records...)
	}
}

// quoted is text as a zone file has it, in strings of at most 255 bytes.
func quoted(text string) string {
	var parts []string
	for len(text) > 200 {
		parts = append(parts, `"`+text[:200]+`"`)
		text = text[200:]
	}
	return strings.Join(append(parts, `"`+text+`"`), " ")
}

// txt asks the test's DNS server as a verifier would.
func (w *world) txt(name string) ([]string, error) {
	q := new(mdns.Msg).SetQuestion(mdns.Fqdn(name), mdns.TypeTXT)
	answer, _, err := (&mdns.Client{Net: "tcp"}).Exchange(q, w.dns.Addr)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, rr := range answer.Answer {
		if t, ok := rr.(*mdns.TXT); ok {
			texts = append(texts, strings.Join(t.Txt, ""))
		}
	}
	if len(texts) == 0 {
		return nil, &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
	}
	return texts, nil
}

func TestSignatureVerifiesAgainstThePublishedRecords(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	w.publish()
	s := w.start()
	_, key := w.sender("Fleet")
	c := dial(t, s.smtp()).login("x", key)
	mails := map[string]string{
		"plain@rcpt.test":  letter("a@operator.test", "plain@rcpt.test", "plain"),
		"folded@rcpt.test": letter("a@operator.test", "folded@rcpt.test", "a long\r\n subject\t that   is folded", "X-Odd:   \r\n"),
		"spaces@rcpt.test": letter("a@operator.test", "spaces@rcpt.test", "x") + "trailing   \r\n\t mixed \t \r\n\r\n\r\n\r\n",
		"empty@rcpt.test":  "From: a@operator.test\r\n\r\n",
		"eight@rcpt.test":  letter("a@operator.test", "eight@rcpt.test", "x", "Content-Type: text/plain; charset=utf-8\r\n") + "Grüße\r\n",
		"dots@rcpt.test":   letter("a@operator.test", "dots@rcpt.test", "x") + ".\r\n..\r\n...\r\n",
	}
	for to, mail := range mails {
		c.submit("a@operator.test", to, mail)
	}
	for _, m := range w.mx.WaitMails(t, len(mails)) {
		found, err := dkim.VerifyWithOptions(bytes.NewReader(m.Data), &dkim.VerifyOptions{LookupTXT: w.txt})
		if err != nil || len(found) != 1 {
			t.Errorf("%s: %d signatures, %v", m.To[0], len(found), err)
			continue
		}
		if v := found[0]; v.Err != nil || v.Domain != platform {
			t.Errorf("%s: signature of %s: %v\n%s", m.To[0], v.Domain, v.Err, m.Data)
		}
		from := fields(m.Data, "From")
		if len(from) != 1 || !strings.Contains(from[0], "no-reply@"+platform) || !strings.Contains(from[0], "Fleet") {
			t.Errorf("%s: From %v: the operator has no assigned sender", m.To[0], from)
		}
		if !strings.HasSuffix(m.From, "@bounce."+platform) {
			t.Errorf("%s: return path %s", m.To[0], m.From)
		}
		sig := fields(m.Data, "DKIM-Signature")
		says(t, sig[0], "s=wp1", "c=relaxed/relaxed", "a=rsa-sha256")
	}
}
