package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/mailtest"
)

// TestScreenshots takes pictures of the pages, in light, dark and the width of a phone,
// into the directory that WAYPOST_SCREENSHOTS names (make screenshots); without one they are
// looked at by nobody. It fails if a page cannot be shown; whether it is one to live with is
// for people to see.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("WAYPOST_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	w := newWorld(t, mailtest.Knobs{}, "BRAND_NAME=Fleetmail")
	op := w.operator("Acme Tracking", "servermate")
	w.user(op, "anna@rcpt.test", "admin", password)
	w.user("", "owner@rcpt.test", "owner", password)
	s := w.start()
	b := startBrowser(t, s)
	take := func(who string, paths ...string) {
		for _, path := range paths {
			for _, look := range []struct {
				name  string
				width int64
				dark  bool
			}{{"light", 1280, false}, {"dark", 1280, true}, {"phone", 390, false}} {
				b.look(look.width, look.dark)
				b.open(path)
				if strings.Contains(b.text(), "Error number") || strings.Contains(b.text(), "Not found") {
					t.Errorf("%s: %s", path, b.text())
				}
				name := strings.Trim(strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(path), "-")
				b.shot(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", who, name, look.name)))
			}
		}
	}
	take("anybody", "/sign-in", "/forgot")
	b.signIn("anna@rcpt.test", password)
	take("operator", "/overview", "/messages", "/settings/email", "/domains", "/suppressions", "/keys", "/team", "/audit", "/account")
	b.look(1280, false)
	b.open("/account")
	b.click("Sign out")
	b.leave("/account")
	b.signIn("owner@rcpt.test", password)
	take("platform", "/platform", "/platform/operators", "/platform/operators/"+op, "/platform/requests", "/platform/queue", "/platform/dns",
		"/platform/mailbox", "/platform/products", "/platform/nodes", "/platform/users", "/platform/audit", "/platform/start")
}
