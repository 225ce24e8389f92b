package classify

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func adviceTables() map[string][]adviceRule {
	return map[string][]adviceRule{
		"relaySilence": relaySilence(), "relayReplies": relayReplies(),
		"builtinSilence": builtinSilence(), "builtinReplies": builtinReplies(),
	}
}

func TestEveryRowHasAdviceAndAllAdviceARow(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for name, table := range adviceTables() {
		for i, r := range table {
			used[r.advice] = true
			if len(r.phases)+r.class+len(r.codes)+len(r.status)+len(r.text)+len(r.causes)+len(r.hosts) == 0 && r.when == nil {
				t.Errorf("%s, row %d: matches everything", name, i)
			}
			for _, text := range r.text {
				if text == "" || text != strings.ToLower(text) || text != strings.Join(strings.Fields(text), " ") && text[0] != ' ' {
					t.Errorf("%s, %s: %q never matches", name, r.advice, text)
				}
			}
			if own := strings.HasPrefix(name, "relay"); !own && (r.when != nil || len(r.hosts) > 0) {
				t.Errorf("%s, %s: the built-in gateway has no server of its own", name, r.advice)
			}
			if strings.HasSuffix(name, "Silence") && r.class+len(r.codes)+len(r.status) > 0 {
				t.Errorf("%s, %s: silence has no codes", name, r.advice)
			}
		}
	}
	for _, p := range slices.Concat(everyPhase(), []waypost.Phase{""}) {
		used[relayPhase(p)], used[builtinPhase(p)] = true, true
	}
	for _, a := range Advices() {
		if !used[a.Code] {
			t.Errorf("nothing leads to %s", a.Code)
		}
		delete(used, a.Code)
	}
	if len(used) > 0 {
		t.Errorf("no text for %v", used)
	}
}

func everyPhase() []waypost.Phase {
	return []waypost.Phase{atRoute, atDNS, atConnect, atGreet, atHello, atTLS, atAuth, atMail, atRcpt, atData, atDot}
}

func TestAdviceTexts(t *testing.T) {
	t.Parallel()
	fields := []string{"", fieldHost, fieldPort, fieldSecurity, fieldTrust, fieldLogin, fieldPassword, fieldFrom, fieldTo}
	code := regexp.MustCompile(`^[a-z][a-z0-9_]+$`)
	internal := regexp.MustCompile(`\d+\.\d+\.\d+|localhost|::|@\w|\.(test|local|internal)\b|https?:`)
	seen := map[string]bool{}
	for _, a := range Advices() {
		if seen[a.Code] || !code.MatchString(a.Code) {
			t.Errorf("code %q", a.Code)
		}
		seen[a.Code] = true
		if a.Text == "" || len(a.Text) > 300 || !strings.HasSuffix(a.Text, ".") {
			t.Errorf("%s: %d bytes: %q", a.Code, len(a.Text), a.Text)
		}
		if internal.MatchString(a.Text) {
			t.Errorf("%s names an address: %q", a.Code, a.Text)
		}
		if !slices.Contains(fields, a.Field) {
			t.Errorf("%s: field %q", a.Code, a.Field)
		}
	}
}
