package panel_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/panel/locale"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// source is the text of all files of a package but its tests.
func source(t *testing.T, patterns ...string) string {
	t.Helper()
	var b strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
	}
	return b.String()
}

func english(t *testing.T) *locale.Locale {
	t.Helper()
	b, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	return b.Locale("en", "UTC")
}

func TestEveryAdviceHasAText(t *testing.T) {
	l, text := english(t), source(t, "../verify/*.go")
	codes := regexp.MustCompile(`AdviceCode = "(\w+)"|advise\("(\w+)"`).FindAllStringSubmatch(text, -1)
	if len(codes) < 70 {
		t.Fatalf("only %d codes found: has the source changed?", len(codes))
	}
	for _, m := range codes {
		if code := m[1] + m[2]; !l.Has("domain_advice." + code) {
			t.Errorf("nobody says what to do about %s", code)
		}
	}
	for _, code := range panel.Wordy() {
		if !strings.Contains(text, `"`+code+`"`) {
			t.Errorf("%s is no code", code)
		}
	}
}

func TestWhateverAdviceSaysMoreHasAText(t *testing.T) {
	l := english(t)
	for _, tt := range []struct {
		files, code, set string
		least            int
	}{
		{"../verify/*.go", `waypost\.DetailCode = "(\w+)"`, "record_detail", 30},
		{"../verify/*.go", `SPFFault = "(\w+)"`, "spf_fault", 19},
		{"../verify/spf_pass.go", `return SPF\w+, "()`, "", 6},
		{"../dns/error.go", `Failure = "(\w+)"`, "dns_failure", 15},
	} {
		codes := regexp.MustCompile(tt.code).FindAllStringSubmatch(source(t, tt.files), -1)
		if len(codes) < tt.least {
			t.Errorf("only %d of %s found: has the source changed?", len(codes), tt.set)
		}
		for _, m := range codes {
			if m[1] != "" && l.Label(tt.set, m[1]) == m[1] {
				t.Errorf("%s.%s has no text", tt.set, m[1])
			}
		}
	}
	for _, code := range []verify.AdviceCode{
		verify.SPFLookups, verify.SPFVoids, verify.SPFTwoRecords, verify.SPFManyMX, verify.SPFNoTarget, verify.SPFSyntax,
	} {
		if !l.Has("gives_up." + string(code)) {
			t.Errorf("gives_up.%s has no text", code)
		}
	}
}

func TestAdviceSaysAllInTheLanguageOfItsReader(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	d := w.claim(t, op, "shop.example")
	spf := verify.ReviewSPF(t.Context(), noDNS{}, "shop.example", "spf.platform.example", nil)
	syntax := verify.ReviewSPF(t.Context(), noDNS{"shop.example": {`v=spf1 ipv4:192.0.2.1 include:loc"alhost ` + nasty + ` -all`}}, "shop.example", "spf.platform.example", nil)
	dmarc := verify.ReviewDMARC(t.Context(), noDNS{"_dmarc.shop.example": {"v=DMARC1; p=none; pct=150"}}, "shop.example")
	w.checked(t, d.ID, false,
		verify.Item{Part: verify.SPFPart, Required: true, Verdict: verify.Wrong, Advice: append(spf.Advice, syntax.Advice...)},
		verify.Item{Part: verify.DMARCPart, Required: true, Verdict: verify.OK, Advice: dmarc.Advice},
	)
	v := w.visitor(t, op, waypost.RoleAdmin)
	page := v.open("/domains/" + d.ID + "?lang=ru")
	page.wants("Запрос TXT для shop.example к серверу 192.0.2.53:53 не удался: ответ не пришёл вовремя.",
		"такого механизма нет. Напишите вместо этого: ip4:192.0.2.1", `pct="150" — не число от 0 до 100.`)
	page.lacks("<script>alert", "(по-английски)", "no such mechanism", "no answer in time")
	v.open("/domains/"+d.ID+"?lang=en").wants("no answer in time (192.0.2.53:53)", "there is no such mechanism", "is not a number from 0 to 100")
}

// noDNS has TXT records only, and does not answer about other names.
type noDNS map[string][]string

func (z noDNS) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	if records, ok := z[name]; ok {
		return dns.Answer[string]{Records: records}, nil
	}
	return dns.Answer[string]{}, noDNS{}.fails(name, "TXT")
}

func (z noDNS) LookupMX(_ context.Context, name string) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{}, z.fails(name, "MX")
}

func (z noDNS) LookupIP(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{}, z.fails(name, "A")
}

func (noDNS) fails(name, kind string) error {
	return &dns.Error{Name: name, Type: kind, Failure: dns.Timeout, Server: "192.0.2.53:53"}
}

func TestEveryRecordHasATitleAndAPurpose(t *testing.T) {
	l := english(t)
	for set, parts := range map[string][]string{
		"record": {"ownership", "spf", "dkim1", "dkim2", "dmarc", "return_path"},
		"platform_record": {
			"dkim1", "dkim2", "selector1", "selector2", "addresses", "spf", "dmarc", "return_path_mx", "return_path_spf", "reply_mx", "ptr", "helo",
		},
	} {
		for _, part := range parts {
			if !l.Has(set+"_title."+part) || !l.Has(set+"_why."+part) {
				t.Errorf("%s has no title or purpose as %s", part, set)
			}
		}
	}
}

func TestEventsAreExplainedInTheWordsTheyAreWrittenWith(t *testing.T) {
	l, text := english(t), source(t, "../verify/*.go", "../store/*.go", "../store/system/*.go")
	for sentence, key := range panel.EventReasons() {
		if !strings.Contains(text, `"`+sentence+`"`) {
			t.Errorf("nobody writes %q any more", sentence)
		}
		if !l.Has("domain_why." + key) {
			t.Errorf("%s has no text", key)
		}
	}
	for _, m := range regexp.MustCompile(`DomainEventType = "(\w+)"`).FindAllStringSubmatch(source(t, "../waypost/domain.go"), -1) {
		if !l.Has("domain_event." + m[1]) {
			t.Errorf("the event %s has no text", m[1])
		}
	}
}
