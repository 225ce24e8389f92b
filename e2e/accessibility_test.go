package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// axe is the checker of accessibility, as its package has it.
func axe(t testing.TB) string {
	t.Helper()
	script, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("testdata/axe/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(script); !strings.Contains(string(readme), hex.EncodeToString(sum[:])) {
		t.Fatal("testdata/axe/axe.min.js is not what its README says")
	}
	return string(script)
}

// finding is what the checker has against a page.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML string }
}

// findings are the serious ones of the page that is open; in the dark only those that
// colors can make.
func (b *browser) findings(script string, dark bool) []finding {
	b.t.Helper()
	only := ""
	if dark {
		only = `, runOnly: ["color-contrast", "link-in-text-block"]`
	}
	js[bool](b, script+"; true")
	return jsAwait[[]finding](b, `axe.run(document, {resultTypes: ["violations"]`+only+`}).then(r => r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
  .map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.slice(0, 3).map(n => ({HTML: n.html.slice(0, 300)}))})))`)
}

func TestNoPageHasASeriousAccessibilityFinding(t *testing.T) {
	script := axe(t)
	l := liveIn(t)
	l.eachPage(func(p looked, open func()) {
		for _, dark := range []bool{false, true} {
			l.b.look(1280, dark)
			open()
			for _, f := range l.b.findings(script, dark) {
				t.Errorf("%s (%s), dark %t: %s (%s): %s %+v", p.name, p.path, dark, f.ID, f.Impact, f.Help, f.Nodes)
			}
		}
		// What does not fit on a phone is scrolled inside, never the page.
		l.b.look(360, false)
		if wide := js[float64](l.b, "document.documentElement.scrollWidth"); wide > 360 {
			t.Errorf("%s (%s) is %v pixels wide on a phone", p.name, p.path, wide)
		}
	})
	l.stop()
	l.balance()
}

// balance checks that counters, rows and events say the same, as the past was made up.
func (l *lived) balance() {
	l.installation.t.Helper()
	l.balanced(l.reader(), "accepted, and what is there or was retired", `SELECT o.id, COALESCE((SELECT SUM(accepted) FROM counter c WHERE c.operator_id = o.id), 0),
		(SELECT COUNT(*) FROM delivery d WHERE d.operator_id = o.id)
		+ COALESCE((SELECT SUM(delivered + bounced + expired + cancelled + suppressed + uncertain) FROM retired r WHERE r.operator_id = o.id), 0) FROM operator o`)
}
