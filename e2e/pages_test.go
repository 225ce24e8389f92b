package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Who looks at a page.
const (
	anybody   = "anybody"
	beginner  = "anybody, at a server installed just now"
	owner     = "the owner of a server installed just now"
	half      = "somebody whose code is still asked for"
	admin     = "an admin"
	viewer    = "a viewer"
	ownServer = "an admin with an own server"
	acting    = "support, working for an operator"
	staff     = "the owner of the platform"
	spanish   = "an admin who reads Spanish"
	russian   = "an admin who reads Russian"
)

// looked is a page that people look at.
type looked struct {
	who  string
	name string // of its pictures
	path string // {word} stands for what lived knows under it
	do   func(*browser)
	miss bool // there is no such page
}

// lookedAt has all pages of the panel, by who looks.
func lookedAt() []looked {
	return []looked{
		{who: anybody, name: "sign-in", path: "/sign-in"},
		{who: anybody, name: "sign-in-wrong", path: "/sign-in", do: func(b *browser) {
			b.fill("login", "anna@"+acmeDomain, "password", "not this one")
			b.click("Sign in")
			b.wait("wrong")
		}},
		{who: anybody, name: "forgot", path: "/forgot"},
		{who: anybody, name: "forgot-sent", path: "/forgot/sent"},
		{who: anybody, name: "reset", path: "/reset/{reset}"},
		{who: anybody, name: "reset-bad", path: "/reset/nothing", miss: true},
		{who: anybody, name: "invite", path: "/invite/{invite}"},
		{who: anybody, name: "dns-link", path: "/dns/{link}"},
		{who: anybody, name: "unsubscribe", path: "/u/{optout}"},
		{who: anybody, name: "unsubscribe-done", path: "/u/{optout}", do: func(b *browser) {
			b.click("Unsubscribe")
			b.wait("That was a mistake")
		}},
		{who: anybody, name: "unsubscribe-bad", path: "/u/nothing", miss: true},
		{who: anybody, name: "dns-link-bad", path: "/dns/nothing", miss: true},
		{who: half, name: "sign-in-code", path: "/sign-in/code"},

		{who: admin, name: "overview", path: "/overview"},
		{who: admin, name: "overview-month", path: "/overview?period=30d"},
		{who: admin, name: "messages", path: "/messages"},
		{who: admin, name: "messages-none", path: "/messages?recipient=nobody@nowhere.test"},
		{who: admin, name: "message", path: "/messages/{event}"},
		{who: admin, name: "message-three", path: "/messages/{three}"},
		{who: admin, name: "message-waiting", path: "/messages/{waiting}"},
		{who: admin, name: "message-held", path: "/messages/{held}"},
		{who: admin, name: "message-uncertain", path: "/messages/{uncertain}"},
		{who: admin, name: "message-bounced", path: "/messages/{bounced}"},
		{who: admin, name: "message-security", path: "/messages/{security}"},
		{who: admin, name: "mailbox", path: "/mailbox"},
		{who: admin, name: "mailbox-mail", path: "/mailbox/{mail}"},
		{who: admin, name: "email", path: "/settings/email"},
		{who: admin, name: "email-preset", path: "/settings/email", do: func(b *browser) {
			b.choose("gateway", "smtp")
			b.choose("preset", "gmail")
			b.wait("app password")
		}},
		{who: admin, name: "email-wrong", path: "/settings/email", do: func(b *browser) {
			b.choose("gateway", "smtp")
			b.choose("preset", "other")
			b.fill("host", "smtp.example.test", "port", "99", "from_email", "nobody")
			b.click("Save")
			b.wait("This port is not allowed.")
		}},
		{who: admin, name: "email-test", path: "/settings/email/test/{tested}"},
		{who: admin, name: "domains", path: "/domains"},
		{who: admin, name: "domain", path: "/domains/{domain}"},
		{who: admin, name: "domain-missing", path: "/domains/{half}"},
		{who: admin, name: "sender", path: "/senders/{sender}"},
		{who: admin, name: "suppressions", path: "/suppressions"},
		{who: admin, name: "suppressions-import", path: "/suppressions", do: func(b *browser) {
			b.click("Import a file")
			b.fill("list", "driver@haulage.test\nnobody")
			b.click("Check only")
			b.wait("Nothing was changed yet")
		}},
		{who: admin, name: "keys", path: "/keys"},
		{who: admin, name: "key-new", path: "/keys/new"},
		{who: admin, name: "key-made", path: "/keys/new", do: func(b *browser) {
			b.fill("name", "Mobile app")
			b.click("Create a key")
			b.wait("Your new key")
		}},
		{who: admin, name: "webhooks", path: "/webhooks"},
		{who: admin, name: "webhook", path: "/webhooks/{hook}"},
		{who: admin, name: "webhook-failing", path: "/webhooks/{broken}"},
		{who: admin, name: "webhook-tested", path: "/webhooks/{broken}", do: func(b *browser) {
			b.click("Send a test")
			b.wait("The test was not taken")
		}},
		{who: admin, name: "webhook-call", path: "/webhooks/{broken}/calls/{failed}"},
		{who: admin, name: "webhook-new", path: "/webhooks/new"},
		{who: admin, name: "webhook-wrong", path: "/webhooks/new", do: func(b *browser) {
			b.fill("url", "https://192.0.2.77/hook")
			b.click("Add")
			b.wait("This URL cannot be called.")
		}},
		{who: admin, name: "team", path: "/team"},
		{who: admin, name: "team-new", path: "/team/new"},
		{who: admin, name: "team-person", path: "/team/{victor@acme-tracking.test}"},
		{who: admin, name: "audit", path: "/audit"},
		{who: admin, name: "account", path: "/account"},
		{who: admin, name: "account-totp", path: "/account/totp", do: func(b *browser) {
			b.open("/account")
			b.fill("totp_password", password)
			b.click("Set up")
			b.wait("Switch on")
		}},
		{who: admin, name: "not-found", path: "/nothing", miss: true},
		{who: viewer, name: "viewer-email", path: "/settings/email"},
		{who: viewer, name: "viewer-domains", path: "/domains"},
		{who: ownServer, name: "failing-overview", path: "/overview"},
		{who: ownServer, name: "failing-email", path: "/settings/email"},
		{who: ownServer, name: "email-test-refused", path: "/settings/email/test/{refused}"},
		{who: ownServer, name: "suppressions-none", path: "/suppressions"},
		{who: acting, name: "acting-overview", path: "/overview"},

		{who: staff, name: "platform", path: "/platform"},
		{who: staff, name: "operators", path: "/platform/operators"},
		{who: staff, name: "operator", path: "/platform/operators/{acme}"},
		{who: staff, name: "operator-suspended", path: "/platform/operators/{suspended}"},
		{who: staff, name: "operator-new", path: "/platform/operators/new"},
		{who: staff, name: "operator-edit", path: "/platform/operators/{acme}/edit"},
		{who: staff, name: "operator-delete", path: "/platform/operators/{north}/delete"},
		{who: staff, name: "requests", path: "/platform/requests"},
		{who: staff, name: "request", path: "/platform/requests/{request}"},
		{who: staff, name: "queue", path: "/platform/queue"},
		{who: staff, name: "queue-deliveries", path: "/platform/queue/deliveries"},
		{who: staff, name: "dns", path: "/platform/dns"},
		{who: staff, name: "dns-report", path: "/platform/dns/report"},
		{who: staff, name: "platform-mailbox", path: "/platform/mailbox"},
		{who: staff, name: "platform-mailbox-mail", path: "/platform/mailbox/{mail}"},
		{who: staff, name: "products", path: "/platform/products"},
		{who: staff, name: "platform-settings", path: "/platform/settings"},
		{who: staff, name: "nodes", path: "/platform/nodes"},
		{who: staff, name: "users", path: "/platform/users"},
		{who: staff, name: "user-new", path: "/platform/users/new"},
		{who: staff, name: "user", path: "/platform/users/{sam@haulage.test}"},
		{who: staff, name: "platform-audit", path: "/platform/audit"},

		{who: spanish, name: "es-overview", path: "/overview"},
		{who: spanish, name: "es-messages", path: "/messages"},
		{who: spanish, name: "es-message", path: "/messages/{three}"},
		{who: spanish, name: "es-email", path: "/settings/email"},
		{who: spanish, name: "es-domain", path: "/domains/{half}"},
		{who: spanish, name: "es-keys", path: "/keys"},
		{who: russian, name: "ru-overview", path: "/overview"},
		{who: russian, name: "ru-messages", path: "/messages"},
		{who: russian, name: "ru-message", path: "/messages/{three}"},
		{who: russian, name: "ru-email", path: "/settings/email"},
		{who: russian, name: "ru-domain", path: "/domains/{half}"},
		{who: russian, name: "ru-keys", path: "/keys"},

		{who: beginner, name: "first-login", path: "/first/{first}"},
		{who: owner, name: "start", path: "/platform/start"},
		{who: owner, name: "platform-empty", path: "/platform"},
	}
}

// notLookedAt has what answers GET and is no page, or none that can be shown here.
func notLookedAt() map[string]string {
	return map[string]string{
		"/{$}":                                  "leads on",
		"/messages.csv":                         "download",
		"/suppressions.csv":                     "download",
		"/messages/{id}/live":                   "part of a page",
		"/messages/{id}/preview":                "a mail, in a frame of its page",
		"/messages/{id}/raw":                    "download",
		"/messages/{id}/files/{number}":         "download",
		"/mailbox/{id}/preview":                 "a mail, in a frame of its page",
		"/mailbox/{id}/raw":                     "download",
		"/mailbox/{id}/files/{number}":          "download",
		"/platform/mailbox/{id}/preview":        "a mail, in a frame of its page",
		"/platform/mailbox/{id}/raw":            "download",
		"/platform/mailbox/{id}/files/{number}": "download",
		"/platform/domain-keys/{id}":            "only where the upstream relay signs",
	}
}

// path is where a page of the list is.
func (l *lived) path(p looked) string {
	path := p.path
	for name, value := range l.names {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return path
}

// as makes the browser that of somebody.
func (l *lived) as(who string) {
	b := l.b
	b.t.Helper()
	b.signOff()
	b.look(1280, false)
	b.base = "http://" + l.addr("http")
	switch who {
	case beginner, owner:
		b.base = "http://" + l.freshAddr
		if who == owner {
			l.fresh.user("", "olga", "owner", password)
			b.signIn("olga", password)
		}
	case half:
		b.signIn("tom@"+acmeDomain, password)
	case admin:
		b.signIn("anna@"+acmeDomain, password)
	case viewer:
		b.signIn("victor@"+acmeDomain, password)
	case ownServer:
		b.signIn("boris@"+borealis, password)
	case spanish:
		b.signIn("rosa@"+acmeDomain, password)
	case russian:
		b.signIn("rita@"+acmeDomain, password)
	case staff:
		b.signIn("olga@"+customers, password)
	case acting:
		b.signIn("sam@"+customers, password)
		b.open("/platform/operators/" + l.acme)
		b.click("Sign in as")
		b.wait("You are signed in as Acme Tracking.")
	}
}

// eachPage shows all pages one after the other, each as often as show asks for it.
func (l *lived) eachPage(show func(p looked, open func())) {
	b, who := l.b, ""
	for _, p := range lookedAt() {
		if p.who != who {
			who = p.who
			l.as(who)
		}
		show(p, func() {
			b.open(l.path(p))
			if p.do != nil {
				p.do(b)
			}
			text := b.text()
			if strings.Contains(text, "Error number") || !p.miss && (strings.Contains(text, "Not found") || strings.Contains(text, "no longer works")) {
				b.t.Errorf("%s (%s) shows %s", p.name, p.path, text)
			}
		})
	}
}

// Whoever adds a page adds it to the list, so that it is looked at.
func TestEachPageOfThePanelIsLookedAt(t *testing.T) {
	pages, not := patterns(t), notLookedAt()
	if len(pages) < 60 {
		t.Fatalf("only %d pages were found: %q", len(pages), pages)
	}
	mux := http.NewServeMux()
	for _, pattern := range pages {
		mux.Handle("GET "+pattern, http.NotFoundHandler())
	}
	found, names := map[string]bool{}, map[string]bool{}
	for _, p := range lookedAt() {
		if names[p.name] {
			t.Errorf("two pages are called %s", p.name)
		}
		names[p.name] = true
		r := httptest.NewRequest(http.MethodGet, strings.NewReplacer("{", "", "}", "").Replace(p.path), nil)
		_, pattern := mux.Handler(r)
		if pattern == "" && !p.miss {
			t.Errorf("%s: there is no page %s", p.name, p.path)
		}
		found[strings.TrimPrefix(pattern, "GET ")] = true
	}
	for _, pattern := range pages {
		if _, exempt := not[pattern]; exempt == found[pattern] {
			t.Errorf("%s is in both lists, lookedAt and notLookedAt, or in none", pattern)
		}
	}
	for pattern := range not {
		if !slices.Contains(pages, pattern) {
			t.Errorf("%s is in the list notLookedAt, but it is gone", pattern)
		}
	}
}
