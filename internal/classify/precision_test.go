package classify_test

import (
	"cmp"
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/classify"
)

//go:embed testdata/replies.tsv
var worldReplies string

// said is one row of testdata/replies.tsv.
type said struct {
	provider, text string
	class          classify.Class
	recipient      bool // it is the recipient's fault
}

func readReplies(t testing.TB) []said {
	t.Helper()
	var all []said
	for line := range strings.Lines(worldReplies) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 4 || f[3] != "yes" && f[3] != "no" {
			t.Fatalf("not a row: %q", line)
		}
		all = append(all, said{provider: f[0], text: f[1], class: classify.Class(f[2]), recipient: f[3] == "yes"})
	}
	return all
}

// verdictOn judges a text as a bounce would quote it: of RCPT, and final if it has no code.
func verdictOn(r *classify.Rules, text string) classify.Verdict {
	reply := classify.ParseReply(text)
	reply.Code = cmp.Or(reply.Code, 550)
	return r.Classify(classify.Input{Phase: rcpt, Route: direct, Reply: reply})
}

func TestPrecision(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	type count struct{ total, right, claimed int }
	counts := map[classify.Class]*count{}
	for _, c := range classify.Classes() {
		counts[c] = &count{}
	}
	right, recipients, missed, blamed := 0, 0, 0, 0
	all := readReplies(t)
	for _, s := range all {
		v := verdictOn(rules, s.text)
		c := v.Cause.Class()
		counts[s.class].total++
		counts[c].claimed++
		if c == s.class {
			right++
			counts[c].right++
		} else {
			t.Logf("%s: %s\n\tis %s, taken for %s (%s: %q)", s.provider, s.text, s.class, c, v.Rule, v.Words)
		}
		byRecipient := v.Blame == classify.BlameRecipient
		switch {
		case byRecipient && !s.recipient:
			blamed++
			t.Errorf("%s: %s\n\tthe recipient is blamed (%s: %q)", s.provider, s.text, v.Rule, v.Words)
		case s.recipient:
			recipients++
			if !byRecipient {
				missed++
			}
		}
		if v.Suppress() && !s.recipient {
			t.Errorf("%s: %s\n\tsuppresses (%s: %q)", s.provider, s.text, v.Rule, v.Words)
		}
	}
	for _, c := range classify.Classes() {
		n := counts[c]
		t.Logf("%-13s %3d replies, %5s found, %5s of %3d claims right", c, n.total, percent(n.right, n.total), percent(n.right, n.claimed), n.claimed)
	}
	t.Logf("%d replies: %s in their class; %d of %d faults of recipients missed; %d recipients wrongly blamed",
		len(all), percent(right, len(all)), missed, recipients, blamed)
	if len(all) < 400 || right*100 < len(all)*95 || missed*100 > recipients*3 {
		t.Error("too few replies, too few in their class, or too many faults missed")
	}
}

func percent(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}
