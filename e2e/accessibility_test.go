package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/mailtest"
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

// findings are the serious ones of the page that is open.
func (b *browser) findings(script string) []finding {
	b.t.Helper()
	js[bool](b, script+"; true")
	return jsAwait[[]finding](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
  .map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.slice(0, 3).map(n => ({HTML: n.html.slice(0, 300)}))})))`)
}

func TestNoPageHasASeriousAccessibilityFinding(t *testing.T) {
	script := axe(t)
	w := newWorld(t, mailtest.Knobs{})
	op := w.operator("Acme Tracking", "servermate")
	w.user(op, "anna", "admin", password)
	w.user("", "olga", "owner", password)
	key, _ := w.credential("--operator", op)
	s := w.start()
	c := client.New("http://"+s.addr("http"), key)
	sent, err := c.Send(t.Context(), client.NewMessage{To: []client.Address{{Email: "driver@rcpt.test"}}, Subject: "Truck 7", Text: "At 07:31.", HTML: "<p>At 07:31.</p>", Kind: "event"})
	if err != nil {
		t.Fatal(err)
	}
	domain, err := c.ClaimDomain(t.Context(), "operator.test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddSender(t.Context(), "alarm@operator.test", "Alarm", true); err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t, s)
	check := func(paths ...string) {
		for _, path := range paths {
			for _, dark := range []bool{false, true} {
				b.look(1280, dark)
				b.open(path)
				for _, f := range b.findings(script) {
					t.Errorf("%s, dark %t: %s (%s): %s %+v", path, dark, f.ID, f.Impact, f.Help, f.Nodes)
				}
			}
		}
	}
	check("/sign-in", "/forgot")
	b.signIn("anna", password)
	check("/overview", "/messages", "/messages/"+sent.ID, "/settings/email", "/domains", "/domains/"+domain.ID, "/suppressions", "/keys", "/keys/new", "/team", "/team/new",
		"/audit", "/account")
	b.click("Sign out")
	b.wait("You are signed out.")
	b.signIn("olga", password)
	check("/platform", "/platform/operators", "/platform/operators/"+op, "/platform/requests", "/platform/queue", "/platform/dns", "/platform/mailbox",
		"/platform/products", "/platform/nodes", "/platform/users", "/platform/audit", "/platform/start")
}
