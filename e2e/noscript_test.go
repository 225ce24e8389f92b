package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/waypost/waypost/internal/mailtest"
)

// Everything but what changes by itself works in a browser that runs no scripts.
func TestThePanelWorksWithoutScriptsInTheBrowser(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	relay := mailtest.StartSMTP(t, mailtest.Knobs{Users: map[string]string{"acme": "right"}, RequireAuth: true})
	w.set(fmt.Sprintf("RELAY_PORTS=587,465,%d", relay.Port()))
	op := w.operator("Acme Tracking", "servermate")
	w.user(op, "anna@rcpt.test", "admin", password)
	b := startBrowser(t, w.start())
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}

	b.signIn("anna@rcpt.test", password)
	b.open("/settings/email")
	b.choose("gateway", "smtp")
	b.choose("security", "none")
	b.fill("host", "127.0.0.1", "port", fmt.Sprint(relay.Port()), "username", "acme", "password", "right", "from_email", "fleet@acme.test",
		"signature_text", "Acme Tracking, support@acme.test", "to", "nobody")
	b.click("Send test mail")
	b.wait("Give the e-mail address where the test mail goes.")
	if b.value("host") != "127.0.0.1" || b.value("port") != fmt.Sprint(relay.Port()) || b.value("signature_text") == "" {
		t.Error("what was typed is lost")
	}
	b.fill("password", "right", "to", "anna@rcpt.test") // a password is never sent back
	b.click("Send test mail")
	b.leave("/settings/email/test")
	// Without scripts the page shows how far it is, and a link to look again.
	eventually(t, patience, "the server has taken the mail", func() bool {
		if strings.Contains(b.text(), "The server has taken the mail.") {
			return true
		}
		js[bool](b, `[...document.querySelectorAll("a")].filter(a => a.innerText.trim() === "Refresh").map(a => a.click()).length > 0`)
		return false
	})
	if test := string(relay.WaitMails(t, 1)[0].Data); !strings.Contains(test, "Acme Tracking, support@acme.test") {
		t.Errorf("%s", test)
	}

	b.open("/settings/email")
	b.choose("gateway", "smtp")
	b.choose("security", "none")
	b.fill("host", "127.0.0.1", "port", fmt.Sprint(relay.Port()), "username", "acme", "password", "right", "from_email", "fleet@acme.test")
	b.click("Save")
	b.wait("Saved.", "Your SMTP server, as fleet@acme.test")

	b.open("/messages?recipient=anna@rcpt.test")
}
