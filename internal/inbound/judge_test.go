package inbound

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/dkim"
	"github.com/waypost/waypost/internal/waypost"
)

func judge(t testing.TB, z zones, a Arrival) waypost.Reception {
	t.Helper()
	v := (&Judge{Hostname: "mx.test", Resolver: z}).Judge(t.Context(), a)
	harmless(t, v)
	return v
}

// harmless is what holds whatever came in.
func harmless(t testing.TB, v waypost.Reception) {
	t.Helper()
	texts := append([]string{v.From, v.Peer, v.SPF.Domain, v.SPF.Reason, v.SPF.Result, v.DMARC.Domain, v.DMARC.Reason, v.DMARC.Policy, v.Results}, v.Problems...)
	for _, d := range v.DKIM {
		texts = append(texts, d.Domain, d.Selector, d.Reason, d.Result)
	}
	for _, text := range texts {
		if len(text) > 20000 || strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }) {
			t.Errorf("not fit to be shown: %.500q", text)
		}
	}
	if len(v.DKIM) > maxSignatures {
		t.Errorf("%d signatures were checked", len(v.DKIM))
	}
	if v.SPF.Result == "" || v.DMARC.Result == "" {
		t.Errorf("no result: %+v", v)
	}
}

func TestAMessageInOrderHasNoProblems(t *testing.T) {
	key := newKey(t)
	v := judge(t, publish(key), arrival(signed(t, key, "wp1", "sender.test", plainMail)))
	v.Size = 0
	want := waypost.Reception{
		From: "alarm@sender.test", Peer: "192.0.2.1", TLS: "TLS 1.3 TLS_AES_128_GCM_SHA256",
		SPF:   waypost.SPFResult{Result: "pass", Domain: "bounce.sender.test", Aligned: true},
		DKIM:  []waypost.DKIMResult{{Result: "pass", Domain: "sender.test", Selector: "wp1", Aligned: true}},
		DMARC: waypost.DMARCResult{Result: "pass", Domain: "sender.test", Policy: "reject"},
		Results: "mx.test; spf=pass smtp.helo=gw.platform.test smtp.mailfrom=b-1@bounce.sender.test; dkim=pass header.d=sender.test; " +
			"dmarc=pass header.from=sender.test",
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
}

func TestJudge(t *testing.T) {
	key, other := newKey(t), newKey(t)
	good := publish(key)
	mail := signed(t, key, "wp1", "sender.test", plainMail)
	sub := strings.Replace(plainMail, "@sender.test", "@eu.sender.test", 1)
	foreign := signed(t, key, "wp1", "other.test", plainMail)
	from := func(a Arrival, mailFrom string) Arrival { a.MailFrom = mailFrom; return a }
	for name, tc := range map[string]struct {
		zones   zones
		arrival Arrival
		want    string // spf spf-aligned dkim... dmarc policy
		says    string // "" for: no problem
	}{
		"SPF fails, DKIM saves it": {
			good.with("TXT bounce.sender.test", "v=spf1 -all"), arrival(mail), "fail/false pass/true pass reject", "SPF: bounce.sender.test does not allow 192.0.2.1",
		},
		"SPF soft fail":   {good.with("TXT bounce.sender.test", "v=spf1 ~all"), arrival(mail), "softfail/false pass/true pass reject", "does not allow"},
		"no SPF":          {good.with("TXT bounce.sender.test"), arrival(mail), "none/false pass/true pass reject", "has no SPF record"},
		"two SPF records": {good.with("TXT bounce.sender.test", "v=spf1 -all", "v=spf1 +all"), arrival(mail), "permerror/false pass/true pass reject", "is broken"},
		"SPF DNS away":    {good.with("TXT bounce.sender.test", "fail"), arrival(mail), "temperror/false pass/true pass reject", "SPF: the DNS did not answer"},
		"SPF of others": {
			good, from(arrival(mail), "x@other.test"), "pass/false pass/true pass reject", "Note: DMARC passes by DKIM alone, because bounces go to other.test",
		},
		"SPF relaxed":         {good, arrival(plainMail), "pass/true pass reject", "DKIM: the mail has no signature"},
		"SPF strict":          {good.with("TXT _dmarc.sender.test", "v=DMARC1; p=none; aspf=s"), arrival(plainMail), "pass/false fail none", "neither SPF nor DKIM"},
		"null sender by HELO": {good, from(arrival(mail), ""), "pass/false pass/true pass reject", "bounces go to gw.platform.test"},

		"DKIM broken on the way": {good, arrival(mail + "More.\r\n"), "pass/true fail/false pass reject", "something on the way changed the mail"},
		"DKIM by another key": {
			good.with("TXT wp1._domainkey.sender.test", other.Record()), arrival(mail), "pass/true fail/false pass reject", "DKIM: the signature of sender.test is not valid",
		},
		"DKIM key missing": {good.with("TXT wp1._domainkey.sender.test"), arrival(mail), "pass/true permerror/false pass reject", "no key for signature"},
		"DKIM key revoked": {good.with("TXT wp1._domainkey.sender.test", "v=DKIM1; p="), arrival(mail), "pass/true permerror/false pass reject", "key revoked"},
		"DKIM DNS away":    {good.with("TXT wp1._domainkey.sender.test", "fail"), arrival(mail), "pass/true temperror/false pass reject", "the key wp1._domainkey.sender.test could not be read now"},
		"DKIM of others":   {good, arrival(foreign), "pass/true pass/false pass reject", "not of the domain in From (sender.test)"},
		"DKIM strict":      {good.with("TXT _dmarc.sender.test", "v=DMARC1; p=none; adkim=s; aspf=s"), arrival(mail), "pass/false pass/true pass none", "DKIM alone"},
		"DKIM strict, above": {
			good.with("TXT _dmarc.eu.sender.test", "v=DMARC1; p=none; adkim=s; aspf=s"), arrival(signed(t, key, "wp1", "sender.test", sub)),
			"pass/false pass/false fail none", "not of the domain in From (eu.sender.test)",
		},
		"DKIM strict, SPF relaxed": {
			good.with("TXT _dmarc.eu.sender.test", "v=DMARC1; p=none; adkim=s"), arrival(signed(t, key, "wp1", "sender.test", sub)),
			"pass/true pass/false pass none", "not of the domain in From (eu.sender.test)",
		},
		"all fails": {
			good.with("TXT bounce.sender.test", "v=spf1 -all"), arrival(foreign), "fail/false pass/false fail reject", `with the policy "reject" receivers may refuse`,
		},

		"policy of a subdomain": {good, arrival(signed(t, key, "wp1", "sender.test", sub)), "pass/true pass/true pass quarantine", ""},
		"own policy of a subdomain": {
			good.with("TXT _dmarc.eu.sender.test", "v=DMARC1;p=none"), arrival(signed(t, key, "wp1", "sender.test", sub)), "pass/true pass/true pass none", "",
		},
		"no sp": {good.with("TXT _dmarc.sender.test", "v=DMARC1;p=Reject"), arrival(signed(t, key, "wp1", "sender.test", sub)), "pass/true pass/true pass reject", ""},

		"no DMARC":      {good.with("TXT _dmarc.sender.test"), arrival(mail), "pass/true pass/true none ", "there is no DMARC record at _dmarc.sender.test"},
		"other texts":   {good.with("TXT _dmarc.sender.test", "v=spf1 -all", "v=DMARC1; p=none"), arrival(mail), "pass/true pass/true pass none", ""},
		"two DMARC":     {good.with("TXT _dmarc.sender.test", "v=DMARC1; p=none", "v=DMARC1; p=reject"), arrival(mail), "pass/true pass/true none ", "several DMARC records"},
		"broken DMARC":  {good.with("TXT _dmarc.sender.test", "v=DMARC1; p=nothing"), arrival(mail), "pass/true pass/true permerror ", "the DMARC record at _dmarc.sender.test is broken"},
		"DMARC unknown": {good.with("TXT _dmarc.sender.test", "fail"), arrival(mail), "pass/true pass/true temperror ", "could not be read"},

		"no From":         {good, arrival("Subject: x\r\n\r\nbody\r\n"), "pass/false permerror ", "there are 0 From fields"},
		"two From":        {good, arrival("From: a@sender.test\r\n" + plainMail), "pass/false permerror ", "there are 2 From fields"},
		"two in From":     {good, arrival("From: a@sender.test, b@sender.test\r\n\r\nbody\r\n"), "pass/false permerror ", "not one address"},
		"literal in From": {good, arrival("From: a@[192.0.2.1]\r\n\r\nbody\r\n"), "pass/false permerror ", "has no domain"},
		"no header":       {good, arrival("\r\nFrom: a@sender.test\r\n\r\nbody\r\n"), "pass/false permerror ", "there are 0 From fields"},
		"nothing":         {good, arrival(""), "pass/false permerror ", "there are 0 From fields"},
		"broken header":   {good, arrival("From: a@sender.test\r\nnot a field\r\n\r\nbody\r\n"), "pass/false permerror ", "cannot be read"},
		"unknown peer": {
			good, Arrival{Hello: "x", MailFrom: "a@sender.test", TLS: "TLS", Data: []byte(mail)}, "none/false pass/true pass reject", "who brought the mail is unknown",
		},
		"no TLS": {good, Arrival{Peer: peer(), MailFrom: "b@bounce.sender.test", Data: []byte(mail)}, "pass/true pass/true pass reject", "without TLS"},
		"IPv6, not allowed": {
			good,
			Arrival{Peer: netip.MustParseAddr("2001:db8::1"), MailFrom: "b@bounce.sender.test", TLS: "TLS", Data: []byte(mail)},
			"fail/false pass/true pass reject", "does not allow 2001:db8::1",
		},
	} {
		v := judge(t, tc.zones, tc.arrival)
		parts := []string{fmt.Sprintf("%s/%v", v.SPF.Result, v.SPF.Aligned)}
		for _, d := range v.DKIM {
			parts = append(parts, fmt.Sprintf("%s/%v", d.Result, d.Aligned))
		}
		if got := strings.Join(append(parts, v.DMARC.Result, v.DMARC.Policy), " "); got != tc.want {
			t.Errorf("%s: %s, want %s\n%+v", name, got, tc.want, v)
		}
		all := strings.Join(v.Problems, "\n")
		if (tc.says == "") != (all == "") || !strings.Contains(all, tc.says) {
			t.Errorf("%s: says %q, want %q", name, all, tc.says)
		}
	}
}

func TestASubdomainIsAlignedWithItsOrganization(t *testing.T) {
	for _, tc := range []struct {
		from, other     string
		relaxed, strict bool
	}{
		{"a.test", "a.test", true, true},
		{"x.a.test", "a.test", true, false},
		{"x.a.test", "y.a.test", true, false},
		{"a.co.uk", "b.co.uk", false, false},
		{"a.test", "b.test", false, false},
		{"a.test", "xa.test", false, false},
		{"", "", false, false},
		{"a.test", "", false, false},
	} {
		if got := aligned(tc.from, tc.other, false); got != tc.relaxed {
			t.Errorf("%s %s relaxed: %v", tc.from, tc.other, got)
		}
		if got := aligned(tc.from, tc.other, true); got != tc.strict {
			t.Errorf("%s %s strict: %v", tc.from, tc.other, got)
		}
	}
}

func TestAnInternationalDomainIsJudgedByItsALabels(t *testing.T) {
	key := newKey(t)
	z := zones{"TXT wp1._domainkey.xn--bcher-kva.test": {key.Record()}, "TXT _dmarc.xn--bcher-kva.test": {"v=DMARC1; p=none"}, "TXT xn--bcher-kva.test": {"v=spf1 +all"}}
	a := arrival(signed(t, key, "wp1", "xn--bcher-kva.test", "From: a@B\u00fccher.test\r\n\r\nbody\r\n"))
	a.MailFrom = "a@b\u00fccher.test"
	if v := judge(t, z, a); v.DMARC.Result != "pass" || v.DMARC.Domain != "xn--bcher-kva.test" || !v.DKIM[0].Aligned || v.SPF.Domain != "xn--bcher-kva.test" {
		t.Errorf("%+v", v)
	}
}

func TestSignaturesKeepTheirOrderAndSelectors(t *testing.T) {
	key, stranger := newKey(t), newKey(t)
	z := publish(key)
	mail := signed(t, key, "wp1", "sender.test", plainMail)
	mail = signed(t, stranger, "wp2", "sender.test", mail)
	mail = signed(t, key, "wp1", "other.test", mail)
	// Written so that another reader of headers may not see it.
	mail = "dkim-SIGNATURE : v=1; a=rsa-sha256;\r\n\ts=odd\r\n\t one; d=odd.test; h=from; b=; bh=\r\n" + mail
	want := []waypost.DKIMResult{
		{Result: "permerror", Domain: "odd.test", Selector: "oddone"},
		{Result: "pass", Domain: "other.test", Selector: "wp1"},
		{Result: "fail", Domain: "sender.test", Selector: "wp2"},
		{Result: "pass", Domain: "sender.test", Selector: "wp1"},
	}
	for range 20 { // they are verified side by side
		got := judge(t, z, arrival(mail)).DKIM
		for i := range got {
			got[i].Reason, got[i].Aligned = "", false
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestAHeaderWithoutABodyIsJudged(t *testing.T) {
	key := newKey(t)
	field, err := dkim.Signer{Domain: "sender.test", Selector: "wp1", Key: key}.Sign([]byte("From: a@sender.test\r\n"), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"", "\r\n"} {
		v := judge(t, publish(key), arrival(string(field)+"From: a@sender.test\r\n"+end))
		if v.DMARC.Result != "pass" || len(v.DKIM) != 1 || v.DKIM[0].Result != "pass" || len(v.Problems) != 0 {
			t.Errorf("with %q behind: %+v", end, v)
		}
	}
}

// hostile are messages and envelopes that want to do harm.
func hostile() map[string]Arrival {
	mega := strings.Repeat("x", 1<<20)
	m := map[string]Arrival{
		"huge From":          arrival("From: " + strings.Repeat("a", 60000) + "@sender.test\r\n\r\n"),
		"huge name":          arrival("From: \"" + strings.Repeat("a", 60000) + "\" <a@sender.test>\r\n\r\n"),
		"comments":           arrival("From: " + strings.Repeat("(", 60000) + "\r\n\r\n"),
		"groups":             arrival("From: " + strings.Repeat("a:", 30000) + "\r\n\r\n"),
		"huge header":        arrival("From: a@sender.test\r\nX: " + mega + "\r\n\r\nbody\r\n"),
		"folded for ever":    arrival("From: a@sender.test\r\nX: a\r\n" + strings.Repeat(" \r\n", 8<<20) + "\r\nbody\r\n"),
		"folded, no end":     arrival(strings.Repeat(" \r\n", 20000)),
		"many fields":        arrival(strings.Repeat("A:\r\n", 16000) + "\r\n"),
		"NULs":               arrival("From: a\x00@sender.test\r\nSubject: \x00\r\n\r\n\x00\r\n"),
		"line ends":          arrival("From: a@sender.test\nX: y\rZ\n\n\r\r\n\r\n.\r\n"),
		"not text":           arrival("\xff\xfe\x00\x01\r\n\r\n\xff"),
		"empty lines":        arrival("DKIM-Signature: v=1; a=rsa-sha256; d=sender.test; s=wp1; h=from; b=AAAA; bh=AAAA\r\nFrom: a@sender.test\r\n\r\n" + strings.Repeat("\r\n", 260000)),
		"signature of marks": arrival("DKIM-Signature: v=1; a=\u202e; d=\u202e\x07evil.test; s=\x1b[2J; h=from; b=A; bh=A\r\n" + plainMail),
		"endless tags":       arrival("DKIM-Signature: " + strings.Repeat("a=b;", 15000) + "\r\n" + plainMail),
		"signature of words": arrival("DKIM-Signature: v=1; t=" + strings.Repeat("\"\\", 20000) + "; a=rsa-sha256; d=sender.test; s=wp1; h=from; b=A; bh=A\r\n" + plainMail),
	}
	many := strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=sender.test; s=wp1; h=from; b=AAAA; bh=AAAA\r\n", 100)
	m["many signatures"] = arrival(many + plainMail)
	m["many signatures, much to check"] = arrival(many + "From: a@sender.test\r\n\r\n" + strings.Repeat("\r\n", 250000))
	quoted := arrival(plainMail)
	quoted.MailFrom, quoted.Hello = `"\"; dmarc=pass header.from=bank.test; x=\""@other.test`, "[]:?"
	m["quoted sender"] = quoted
	broken := arrival(plainMail)
	broken.MailFrom, broken.Hello = "a\r\nX: y@sender.test\r\n", "h\r\nX: \u2028y"
	m["line ends in the envelope"] = broken
	return m
}

func TestHostileMessagesAreJudgedInBoundedTimeAndPlainWords(t *testing.T) {
	key := newKey(t)
	z := publish(key).with("TXT sender.test", "v=spf1 exp=\x1b[2J\r\nX include:\u202e.test ?all")
	for name, a := range hostile() {
		begun := time.Now()
		v := judge(t, z, a)
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if v.DMARC.Result == "pass" && name != "quoted sender" && len(v.DKIM) > 0 && slices.ContainsFunc(v.DKIM, func(d waypost.DKIMResult) bool { return d.Result == "pass" }) {
			t.Errorf("%s: passes: %+v", name, v)
		}
		if strings.Count(v.Results, `"`)%2 != 0 || strings.Contains(v.Results, `\`) {
			t.Errorf("%s: a value ends its quotes: %s", name, v.Results)
		}
	}
}

func TestALargeMessageIsNotTakenApart(t *testing.T) {
	key := newKey(t)
	v := judge(t, publish(key), arrival(signed(t, key, "wp1", "sender.test", plainMail+strings.Repeat("a line\r\n", maxJudged/8))))
	if v.DKIM[0].Result != "neutral" || v.DMARC.Result != "pass" || !strings.Contains(strings.Join(v.Problems, ""), "too large") {
		t.Errorf("%+v", v)
	}
	a := arrival(plainMail + strings.Repeat("a line\r\n", 3<<20))
	if n := testing.AllocsPerRun(1, func() { judge(t, publish(key), a) }); n > 5000 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzJudge(f *testing.F) {
	key := newKey(f)
	z := publish(key)
	f.Add([]byte(signed(f, key, "wp1", "sender.test", plainMail)), "a@bounce.sender.test", "gw.platform.test")
	f.Add([]byte(plainMail), "", "[127.0.0.1]")
	for _, a := range hostile() {
		if len(a.Data) < 5000 {
			f.Add(a.Data, a.MailFrom, a.Hello)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, mailFrom, hello string) {
		a := arrival("")
		a.Data, a.MailFrom, a.Hello = data, mailFrom, hello
		begun := time.Now()
		v := judge(t, z, a)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if v.Size != len(data) {
			t.Errorf("%+v", v)
		}
	})
}
