package e2e_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/mailtest"
)

const password = "correct horse battery"

func TestAnOperatorSetsUpItsOwnServerInTheBrowser(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	relay := mailtest.StartSMTP(t, mailtest.Knobs{Users: map[string]string{"acme": "right"}, RequireAuth: true})
	inbox := mailtest.StartSMTP(t, mailtest.Knobs{})
	postfix := startPostfix(t, inbox.Port(), "none")
	w.set(fmt.Sprintf("RELAY_PORTS=587,465,%d,%d", relay.Port(), postfix))
	op := w.operator("Acme Tracking", "servermate")
	w.user(op, "anna@rcpt.test", "admin", password)
	s := w.start()
	b := startBrowser(t, s)

	b.signIn("anna@rcpt.test", password)
	b.open("/settings/email")
	b.wait("Built-in gateway, as Acme Tracking")

	// A preset fills the fields in and says what the provider wants.
	b.choose("gateway", "smtp")
	b.choose("preset", "gmail")
	b.wait("app password")
	if host, port := b.value("host"), b.value("port"); host != "smtp.gmail.com" || port != "465" {
		t.Errorf("the preset fills in %s port %s", host, port)
	}
	// The port follows the security, and stays editable.
	b.choose("security", "none")
	if port := b.value("port"); port != "25" {
		t.Errorf("without security the port is %s", port)
	}

	// A wrong password is shown where it belongs, step by step, before anything is saved.
	b.choose("preset", "other")
	b.fill("host", "127.0.0.1", "port", fmt.Sprint(relay.Port()), "username", "acme", "password", "wrong", "from_email", "fleet@acme.test", "from_name", "Acme Fleet",
		"signature_text", "Acme Tracking, support@acme.test", "to", "anna@rcpt.test")
	b.click("Send test mail")
	b.wait("The test mail was not delivered", "Authorization", "535", "Look at: Password")
	if got := b.value("password"); got != "wrong" {
		t.Errorf("the password that was typed is lost: %q", got)
	}

	// What cannot be saved says so at its field, and nothing typed is lost.
	b.fill("port", "99")
	b.click("Save")
	b.wait("This port is not allowed.")
	if got := b.value("password"); got != "wrong" || b.value("from_name") != "Acme Fleet" {
		t.Errorf("what was typed is lost: %q", got)
	}

	// The real thing: a Postfix, without a login.
	b.fill("port", fmt.Sprint(postfix))
	b.tick("auth")
	b.click("Send test mail")
	b.wait("The server has taken the mail.")
	test := string(inbox.WaitMails(t, 1)[0].Data)
	if !strings.Contains(test, "Acme Tracking, support@acme.test") || !strings.Contains(test, "fleet@acme.test") {
		t.Errorf("%s", test)
	}
	b.click("Save")
	b.wait("Saved.", "Your SMTP server, as Acme Fleet <fleet@acme.test>")
	if strings.Contains(s.log(), "wrong") || strings.Contains(s.log(), password) {
		t.Errorf("a password is in the log:\n%s", s.log())
	}
}

func TestTheOwnerBeginsInTheBrowser(t *testing.T) {
	w := newWorld(t, mailtest.Knobs{})
	s := w.start()
	b := startBrowser(t, s)
	link, err := os.ReadFile(filepath.Join(w.dir, "first-login"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := url.Parse(strings.TrimSpace(string(link)))
	if err != nil || strings.Contains(s.log(), first.Path) {
		t.Fatalf("%v; the link is in the log: %t", err, strings.Contains(s.log(), first.Path))
	}
	b.open(first.Path)
	b.wait("Welcome")
	b.fill("name", "Olga Owner", "email", "olga@rcpt.test", "login", "olga", "password", password, "again", password)
	b.click("Create my login")
	b.leave(first.Path)
	b.open("/platform/start")
	b.wait("First steps", "Create the operator")
	b.fill("name", "Acme Tracking")
	b.choose("product", "servermate")
	b.click("Create the operator")
	b.wait("Somebody has to look after the mail of Acme Tracking.")
	if _, err := os.Stat(filepath.Join(w.dir, "first-login")); !os.IsNotExist(err) {
		t.Errorf("the link is still there: %v", err)
	}

	// From now on a code is asked for, too.
	b.open("/account")
	b.fill("totp_password", password)
	b.click("Set up")
	b.wait("Switch on")
	secret := js[string](b, `[...document.querySelectorAll("code")].map(e => e.innerText.replace(/\s/g, "")).find(t => /^[A-Z2-7]{16,}$/.test(t))`)
	b.fill("code", code(t, secret, 0))
	b.click("Switch on")
	b.wait("Recovery codes")
	recovery := js[string](b, `document.querySelector(".wp-codes code").innerText`)
	b.click("Sign out")
	b.wait("You are signed out.")
	b.fill("login", "olga", "password", password)
	b.click("Sign in")
	b.wait("One more step")
	b.fill("code", "000000")
	b.click("Sign in")
	b.wait("This code is wrong or was used already.")
	b.fill("code", recovery)
	b.click("Sign in")
	b.leave("/sign-in/code")

	// An operator is suspended, and its mail with it.
	op := number(t, w.reader(), "SELECT COUNT(*) FROM operator WHERE suspended")
	b.open("/platform/operators")
	b.click("Acme Tracking")
	b.wait("Suspend")
	b.click("Suspend") // opens, and asks
	b.wait("Stops the operator's mail.")
	b.do(chromedp.Click(chromedp.CSS(`form[action$="/suspend"] button`), chromedp.NodeVisible))
	b.wait("The operator is suspended.")
	if n := number(t, w.reader(), "SELECT COUNT(*) FROM operator WHERE suspended"); n != op+1 {
		t.Errorf("%d operators are suspended", n)
	}
	b.open("/platform/audit")
	b.wait("olga", "Acme Tracking")
}

// code is the TOTP code of a secret, some steps of 30 seconds from now.
func code(t testing.TB, secret string, steps int) string {
	t.Helper()
	text, err := totp.GenerateCode(secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatalf("%q: %v", secret, err)
	}
	return text
}

func TestAnOwnAddressIsAuthorizedAndApprovedInTheBrowser(t *testing.T) {
	n := newInternetWith(t, []string{"APPROVE_SENDERS=true", "PUBLIC_URL="}, "operator.test")
	c := n.contacted("Fleet", "admin@contact.test")
	op := n.operatorNamed("Fleet")
	n.user(op, "anna", "admin", password)
	n.user("", "sam", "support", password)
	b := startBrowser(t, n.server)

	b.signIn("anna", password)
	b.open("/domains")
	b.fill("domain", "operator.test")
	b.click("Add domain")
	b.wait("_verify.", "dkim1."+platform, "include:spf."+platform)
	domains := must(c.Domains(t.Context()))(t)
	n.publish(domains[0]) // whoever runs the DNS copies what the page says
	b.click("Check now")
	b.wait("Authorized")
	b.open("/domains")
	b.fill("address", "alarm@operator.test", "name", "Fleet Alarm")
	b.click("Add address")
	b.wait("alarm@operator.test", "Requested")
	b.click("Sign out")
	b.wait("You are signed out.")

	b.signIn("sam", password)
	b.open("/platform/requests")
	b.wait("Fleet", "alarm@operator.test")
	b.click("Decide")
	b.wait("dmarc=pass")
	b.click("Test and approve")
	b.wait("The sender is approved.")
	if got := verified(t, c); got.DMARC.Result != "pass" {
		t.Errorf("%+v", got)
	}

	// The operator finds the mail and its story.
	if _, err := c.Send(t.Context(), client.NewMessage{
		From: &client.Address{Email: "alarm@operator.test"}, To: []client.Address{{Email: "postmaster@" + platform}}, Subject: "Truck 7 left the yard", Text: "At 07:31.", Kind: "event",
	}); err != nil {
		t.Fatal(err)
	}
	b.open("/platform/operators/" + op)
	b.click("Sign in as")
	b.wait("You are signed in as Fleet.")
	b.open("/messages")
	b.fill("subject", "truck")
	b.click("Search")
	b.click("Truck 7 left the yard")
	b.wait("postmaster@"+platform, "Accepted and stored safely")
	b.open("/audit")
	b.wait("sam", "anna")
}

// operatorNamed is the id of an operator.
func (in *installation) operatorNamed(name string) string {
	in.t.Helper()
	var list []struct{ ID, Name string }
	in.json(&list, "operator", "list")
	for _, o := range list {
		if o.Name == name {
			return o.ID
		}
	}
	in.t.Fatalf("no operator %s", name)
	return ""
}
