package classify_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/waypost"
)

// safe fails if a verdict suppresses what it must not.
func safe(t *testing.T, in classify.Input, v classify.Verdict) {
	t.Helper()
	if v.Suppress() && (!in.Reply.Permanent() || v.Blame != classify.BlameRecipient || v.Outcome != permanent) {
		t.Errorf("suppresses: %+v -> %+v", in, v)
	}
	if v.Rule == "" || v.Outcome == "" {
		t.Errorf("no verdict: %+v -> %+v", in, v)
	}
}

func FuzzClassify(f *testing.F) {
	rules := classify.BuiltIn()
	for _, s := range readReplies(f) {
		r := classify.ParseReply(s.text)
		f.Add(r.Code, r.Enhanced, s.text)
	}
	f.Add(550, "4.1.1", "<<<>@ http:// user unknown. a.b@c <http://x")
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		quoted := classify.ParseReply(text)
		for _, reply := range []waypost.Reply{quoted, {Code: code, Enhanced: enhanced, Text: text}} {
			for _, phase := range []waypost.Phase{waypost.PhaseDNS, greet, auth, mail, rcpt, dot} {
				for _, route := range []waypost.RouteKind{direct, relay} {
					in := classify.Input{Phase: phase, Reply: reply, Route: route}
					safe(t, in, rules.Classify(in))
				}
			}
		}
	})
}

// Whatever an owner writes, the gateway starts and judges, or says what is wrong.
func FuzzRules(f *testing.F) {
	f.Add([]byte("[[rule]]\nname = \"x\"\nwords = [\"no such\"]\nsites = [\"a.example\"]\nall = [\"user\"]\nwithout = [\"spam\"]\ncause = \"bad_mailbox\"\nslow = \"5m\"\nhow = \"rate\"\n"))
	f.Add([]byte("[[rule]]\nname = \"x\"\ncode = 450\nstatus = \"*.1.\"\nphase = \"rcpt\"\ncause = \"bad_mailbox\"\nnot_now = true\nus = true\n"))
	f.Add([]byte("rule = 3"))
	file := filepath.Join(f.TempDir(), "rules.toml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		rules, err := classify.Open(file)
		if err != nil {
			return
		}
		for _, line := range []string{"550 5.1.1 no such user, see https://a.example/", "450 4.1.1 no such user", "550"} {
			in := classify.Input{Phase: rcpt, Route: direct, Reply: classify.ParseReply(line)}
			safe(t, in, rules.Classify(in))
		}
	})
}
