package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/waypost"
)

// lived is an installation that looks as if people had worked with it for a month: its
// pages have something to show. Beside it stands one that was installed just now.
type lived struct {
	*internet
	fresh     *installation
	freshAddr string
	mx        *mailtest.SMTP
	b         *browser
	acme      string            // operator "Acme Tracking"
	totp      string            // secret of who signs in with a code
	names     map[string]string // what stands for {name} in paths
}

// Domains of the lived-in installation.
const (
	acmeDomain = "acme-tracking.test"
	customers  = "haulage.test" // where Acme's mail goes
	borealis   = "borealis.test"
)

// liveIn makes it.
func liveIn(t *testing.T) *lived {
	t.Helper()
	l := &lived{names: map[string]string{}}
	l.mx = mailtest.StartSMTP(t, mailtest.Knobs{
		RcptTo: func(to string) mailtest.Answer {
			switch before, _, _ := strings.Cut(to, "@"); before {
			case "former.driver", "left.in.may":
				return mailtest.Answer{Reply: "550 5.1.1 <" + to + ">: Recipient address rejected: User unknown in local recipient table"}
			case "night.shift", "archive":
				return mailtest.Answer{Reply: "452 4.2.2 The mailbox is full, please try again later"}
			}
			return mailtest.Answer{}
		},
		Message: func(m mailtest.ReceivedMail) mailtest.Answer {
			return mailtest.Answer{Close: strings.HasPrefix(m.To[0], "yard@")}
		},
	})
	relay := mailtest.StartSMTP(t, mailtest.Knobs{Users: map[string]string{"mailer@" + borealis: "right"}, RequireAuth: true})
	port := l.mx.Port()
	l.internet = newInternetWith(t, []string{
		"BRAND_NAME=Fleetmail", "APPROVE_SENDERS=true", "PUBLIC_URL=", fmt.Sprintf("MX_PORT=%d", port), fmt.Sprintf("BOUNCE_ADDR=127.0.0.99:%d", port),
		fmt.Sprintf("RELAY_PORTS=25,465,587,2525,%d", relay.Port()),
	}, acmeDomain, customers, borealis)
	for _, d := range []string{acmeDomain, customers, borealis} {
		l.set(d, "MX 10 mx."+d+".")
		l.set("mx."+d, "A 127.0.0.1")
	}
	l.set("smtp."+borealis, "A 127.0.0.1")
	l.fresh = newInstallation(t)
	l.freshAddr = l.fresh.start().addr("http")

	l.operators(relay.Port())
	l.past()
	l.b = startBrowser(t, l.server)
	l.people()
	l.testMails()
	return l
}

// client is one with a key of an operator.
func (l *lived) client(operator, name string, args ...string) *client.Client {
	key, id := l.credential(append([]string{"--operator", operator, "--name", name}, args...)...)
	l.names[name] = id
	return client.New("http://"+l.addr("http"), key)
}

// person makes a user with a name and an address.
func (l *lived) person(operator, login, name, role string) {
	t := l.installation.t
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	whose := []string{"--platform"}
	if operator != "" {
		whose = []string{"--operator", operator}
	}
	var made struct{ ID string }
	l.json(&made, append([]string{"user", "create", "--login", login, "--email", login, "--name", name, "--role", role, "--password-file", file}, whose...)...)
	l.names[login] = made.ID
}

// operators makes them and what they have.
func (l *lived) operators(relayPort int) {
	t, platform := l.installation.t, l.support()
	ctx := t.Context()
	create := func(o client.NewOperator) string {
		made := must(platform.CreateOperator(ctx, o))(t)
		return made.ID
	}
	l.acme = create(client.NewOperator{Name: "Acme Tracking", Product: "servermate", Contact: "anna@" + acmeDomain, Uncertain: "hold", PerMinute: 600})
	north := create(client.NewOperator{Name: "Acme North", Product: "servermate", Contact: "nora@" + acmeDomain, ParentID: l.acme})
	own := create(client.NewOperator{Name: "Borealis Fleet", Product: "cloud", Contact: "boris@" + borealis})
	gone := create(client.NewOperator{Name: "Old Roads Telematics", Product: "on_premise", Contact: "it@" + customers})
	suspended := true
	must(platform.ChangeOperator(ctx, gone, client.OperatorChange{Suspended: &suspended}))(t)
	l.names["acme"], l.names["suspended"], l.names["north"] = l.acme, gone, north

	l.person(l.acme, "anna@"+acmeDomain, "Anna Lindqvist", "admin")
	l.person(l.acme, "victor@"+acmeDomain, "Victor Sá", "viewer")
	l.person(l.acme, "tom@"+acmeDomain, "Tom Okafor", "admin")
	l.person(l.acme, "rosa@"+acmeDomain, "Rosa Gil", "admin")
	l.person(l.acme, "rita@"+acmeDomain, "Рита Орлова", "admin")
	l.person(own, "boris@"+borealis, "Boris Weber", "admin")
	l.person("", "olga@"+customers, "Olga Marin", "owner")
	l.person("", "sam@"+customers, "Sam Ortiz", "support")

	c := l.client(l.acme, "Tracking server")
	l.client(l.acme, "Reports, read only", "--scope", "read")
	l.client(l.acme, "Old server")
	if err := platform.RevokeCredential(ctx, l.acme, l.names["Old server"]); err != nil {
		t.Fatal(err)
	}
	l.ownAddress(c, platform)
	l.webhooks(c)
	l.mail(c)

	b := l.client(own, "Tracking server")
	must(b.SaveSettings(ctx, client.Settings{
		Gateway: &client.Gateway{Type: "smtp", Host: "smtp." + borealis, Port: relayPort, Security: "none", Auth: &client.Login{Username: "mailer@" + borealis, Password: "expired"}},
		From:    "Borealis Fleet <fleet@" + borealis + ">", Signature: client.Signature{Text: "Borealis Fleet\nsupport@" + borealis},
	}))(t)
	for _, subject := range []string{"Trailer 3 left the zone", "Trailer 5 left the zone"} {
		must(b.Send(ctx, client.NewMessage{To: []client.Address{{Email: "dispatch@" + customers}}, Subject: subject, Text: "At 07:31.", Kind: "event"}))(t)
	}
	n := l.client(north, "Tracking server")
	must(n.Send(ctx, client.NewMessage{To: []client.Address{{Email: "dispatch@" + customers}}, Subject: "Truck 21 is back", Text: "At 16:02.", Kind: "event"}))(t)
}

// webhooks registers two endpoints: one that takes what it is told, and one that fails.
func (l *lived) webhooks(c *client.Client) {
	t := l.installation.t
	ctx := t.Context()
	works := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"accepted":true}`)
	}))
	t.Cleanup(works.Close)
	fails := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "The database of this program is being moved. Come back later.", http.StatusServiceUnavailable)
	}))
	t.Cleanup(fails.Close)
	hook := must(c.CreateWebhook(ctx, client.NewWebhook{URL: works.URL + "/mail-events", Description: "Dispatch screen"}))(t)
	broken := must(c.CreateWebhook(ctx, client.NewWebhook{
		URL: fails.URL + "/bounces", Description: "Customer database: marks addresses that bounce", Types: []string{"delivery.bounced", "suppression.added"}, MaxEvents: 50,
	}))(t)
	l.names["hook"], l.names["broken"] = hook.ID, broken.ID
	l.names["called"] = must(c.TestWebhook(ctx, hook.ID))(t).ID
	l.names["failed"] = must(c.TestWebhook(ctx, broken.ID))(t).ID
}

// ownAddress claims domains, one with its records and one without, and asks for senders.
func (l *lived) ownAddress(c, platform *client.Client) {
	t := l.installation.t
	ctx := t.Context()
	d := must(c.ClaimDomain(ctx, acmeDomain))(t)
	l.publish(d)
	l.set(acmeDomain, "MX 10 mx."+acmeDomain+".", rr("TXT", record(t, d, "ownership").Record.Value), rr("TXT", record(t, d, "spf").Record.Value))
	if d = must(c.CheckDomain(ctx, d.ID))(t); d.State != "authorized" {
		t.Fatalf("%+v", d)
	}
	half := must(c.ClaimDomain(ctx, borealis))(t)
	l.publish(half, "dkim2", "dmarc", "return_path")
	l.set(borealis, "MX 10 mx."+borealis+".", rr("TXT", record(t, half, "ownership").Record.Value), rr("TXT", "v=spf1 mx -all"))
	half = must(c.CheckDomain(ctx, half.ID))(t)
	link := must(c.LinkDomain(ctx, half.ID, 7))(t)
	l.names["link"] = link.URL[strings.LastIndex(link.URL, "/")+1:]

	alarm := must(c.AddSender(ctx, "alarm@"+acmeDomain, "Acme Tracking", true))(t)
	asked := must(c.AddSender(ctx, "reports@"+acmeDomain, "Acme Reports", false))(t)
	offers := must(c.AddSender(ctx, "offers@"+acmeDomain, "", false))(t)
	must(platform.ApproveSender(ctx, alarm.ID, false))(t)
	must(platform.RejectSender(ctx, offers.ID, "Advertising does not leave over the built-in gateway."))(t)
	l.names["domain"], l.names["half"], l.names["sender"], l.names["request"] = d.ID, half.ID, alarm.ID, asked.ID

	must(c.SaveSettings(ctx, client.Settings{
		Gateway: &client.Gateway{Type: "builtin"}, From: "Acme Tracking <alarm@" + acmeDomain + ">", ReplyTo: "support@" + acmeDomain,
		Signature: client.Signature{
			Text: "Acme Tracking, support around the clock\nsupport@" + acmeDomain, HTML: `<p><b>Acme Tracking</b>, support around the clock<br>support@` + acmeDomain + `</p>`,
		},
	}))(t)
	must(c.Suppress(ctx, client.NewSuppression{Address: "unsubscribed@" + customers, Detail: "Asked by phone to get no more mail."}))(t)
	must(c.Suppress(ctx, client.NewSuppression{Address: "workshop@" + customers, Detail: "On leave.", ExpiresAt: time.Now().AddDate(0, 1, 0)}))(t)
}

// optOut makes a link to unsubscribe as mail has it where the platform has an https address,
// which this one has not.
func (l *lived) optOut(operatorID, mail string) {
	t := l.installation.t
	ring := must(secret.Load(filepath.Join(l.dir, "instance.key")))(t)
	l.names["optout"] = unsubscribe.Links{Sealer: ring}.Token(unsubscribe.Link{
		OperatorID: operatorID, MessageID: mail, Kind: waypost.KindReport, Address: "office@" + customers,
	})
}

// mail sends one of each sort.
func (l *lived) mail(c *client.Client) {
	t := l.installation.t
	ctx := t.Context()
	send := func(c *client.Client, name string, m client.NewMessage, to ...string) client.Receipt {
		t.Helper()
		for _, one := range to {
			m.To = append(m.To, client.Address{Email: one + "@" + customers})
		}
		r := must(c.Send(ctx, m))(t)
		l.names[name] = r.ID
		return r
	}
	wait := func(name string, states ...string) {
		t.Helper()
		eventually(t, patience, name+" is "+strings.Join(states, ", "), func() bool {
			m := must(c.Message(ctx, l.names[name]))(t)
			for i, d := range m.Deliveries {
				if i >= len(states) || d.Status != states[i] || states[i] == "queued" && d.Reason == "" {
					return false
				}
			}
			return true
		})
	}
	tripHTML := `<h2>Truck 7 left the yard</h2><p>At <b>07:31</b> near Dock Street 12.</p>` +
		`<table border="1" cellpadding="6"><tr><th>Driver</th><td>Maria Torres</td></tr><tr><th>Speed</th><td>23 km/h</td></tr></table>`
	report := client.NewMessage{
		Subject: "Weekly mileage, Acme Tracking", Text: "The report is attached.", Kind: "report",
		Attachments: []client.Attachment{{Name: "mileage.xlsx", Content: []byte("PK\x03\x04 not a real one")}},
	}
	l.optOut(l.acme, send(c, "report", report, "office").ID)
	cancelled := send(c, "cancelled", client.NewMessage{Subject: "Geofence test, please ignore", Text: "Test.", Kind: "event"}, "archive")
	held := send(c, "held", client.NewMessage{Subject: "Idling for 40 minutes: Van 12", Text: "Van 12 idles.", Kind: "event"}, "archive")
	send(c, "bounced", client.NewMessage{Subject: "Speeding: Truck 4", Text: "104 km/h on Ring Road.", Kind: "event"}, "former.driver")
	send(c, "suppressed", client.NewMessage{Subject: "Speeding: Truck 9", Text: "98 km/h on Ring Road.", Kind: "event"}, "unsubscribed")
	send(c, "balance", client.NewMessage{Subject: "Your balance is low", Text: "12.40 left. Please top up.", Kind: "balance"}, "accounts")
	send(c, "uncertain", client.NewMessage{Subject: "Fuel drop: Truck 2", Text: "38 liters less within two minutes.", Kind: "event"}, "yard")
	send(c, "later", client.NewMessage{Subject: "Shift begins", Text: "At six.", Kind: "event", SendAt: time.Now().Add(14 * time.Hour)}, "dispatch")
	wait("cancelled", "queued")
	wait("held", "queued")
	must(c.Cancel(ctx, cancelled.Deliveries[0].ID))(t)
	must(c.Hold(ctx, held.Deliveries[0].ID))(t)
	safe := l.client(l.acme, "Account service", "--scope", "send", "--scope", "send:security")
	send(safe, "security", client.NewMessage{Subject: "Your sign-in code", Text: "123456", Kind: "security"}, "maria.torres")
	box := l.client(l.acme, "Staging", "--test")
	send(box, "boxed-report", report, "office")
	send(box, "boxed", client.NewMessage{Subject: "Truck 7 left the yard (staging)", Text: "At 07:31.", HTML: tripHTML, Kind: "event"}, "maria.torres")
	send(c, "waiting", client.NewMessage{Subject: "Battery low: Tracker 0442", Text: "11.4 V.", Kind: "event"}, "night.shift")
	send(c, "three", client.NewMessage{Subject: "Route changed: Truck 11", Text: "By the harbor.", Kind: "event"}, "maria.torres", "left.in.may", "night.shift")
	send(c, "event", client.NewMessage{
		Subject: "Truck 7 left the yard", Text: "At 07:31 near Dock Street 12.", HTML: tripHTML, Kind: "event", Tags: []string{"zone-exit"},
		Attachments: []client.Attachment{{Name: "track.csv", Content: []byte("time,lat,lon\n07:31,41.38,2.17\n")}},
	}, "maria.torres")
	wait("event", "delivered")
	wait("waiting", "queued")
	wait("bounced", "bounced")
	wait("uncertain", "uncertain")
	wait("security", "delivered")
	eventually(t, patience, "the mail of the test key is in the sandbox", func() bool {
		n := 0
		for m, err := range c.Sandbox(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if m.MessageID == l.names["boxed"] {
				l.names["mail"] = m.ID
			}
			n++
		}
		return n == 2
	})
}

// past gives Acme a month of traffic, and its last messages a day.
func (l *lived) past() {
	l.server.stop()
	var accepted, delivered, bounced, expired int
	var rows []string
	now := time.Now().UTC().Truncate(time.Hour)
	for ago := 1; ago <= 30*24; ago++ {
		at := now.Add(-time.Duration(ago) * time.Hour)
		events := []int{9, 6, 4, 4, 7, 18, 44, 82, 96, 88, 79, 74, 68, 77, 83, 86, 90, 71, 48, 33, 25, 20, 16, 12}[at.Hour()] + ago*7%11
		if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
			events /= 3
		}
		kinds := map[string]int{"event": events}
		if at.Hour() == 6 {
			kinds["report"] = 45 + ago%9
		}
		if at.Hour() == 9 && at.Weekday() == time.Monday {
			kinds["balance"] = 22
		}
		for kind, n := range kinds {
			b, e := n/35, 0
			if kind == "event" && ago%29 == 0 {
				e = 2
			}
			for _, of := range []string{l.acme, ""} { // its own, and that of all operators
				rows = append(rows, fmt.Sprintf("('%s', %d, '%s', 'before', %d, %d, %d, %d, 0, 0, 0)", of, at.Unix()/3600, kind, n, n-b-e, b, e))
			}
			accepted, delivered, bounced, expired = accepted+n, delivered+n-b-e, bounced+b, expired+e
		}
	}
	// A message and all of it is 23 minutes older for each one that came after it.
	const older = `(SELECT COUNT(*) * 1380000 FROM message own JOIN message later ON later.operator_id = own.operator_id AND later.id > own.id WHERE own.id = `
	l.change(
		"INSERT INTO rollup (operator_id, hour, kind, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain) VALUES "+strings.Join(rows, ","),
		fmt.Sprintf("INSERT INTO counter (operator_id, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain) VALUES ('%s', 'before', %d, %d, %d, %d, 0, 0, 0)",
			l.acme, accepted, delivered, bounced, expired),
		fmt.Sprintf("INSERT INTO retired (operator_id, node, delivered, bounced, expired, cancelled, suppressed, uncertain) VALUES ('%s', 'before', %d, %d, %d, 0, 0, 0)",
			l.acme, delivered, bounced, expired),
		"UPDATE app_user SET language = 'es', zone = 'Europe/Madrid' WHERE login = 'rosa@"+acmeDomain+"'",
		"UPDATE app_user SET language = 'ru', zone = 'Asia/Yekaterinburg' WHERE login = 'rita@"+acmeDomain+"'",
		"UPDATE attempt SET started = started - "+older+"(SELECT message_id FROM delivery WHERE delivery.id = attempt.delivery_id))",
		"UPDATE delivery SET created = created - "+older+"delivery.message_id), updated = updated - "+older+"delivery.message_id)",
		"UPDATE event SET at = at - "+older+"event.message_id)",
		"UPDATE message SET created = created - "+older+"message.id)",
	)
	l.server = l.internet.start()
}

// people does what is done in a browser: one is invited, one gets two-step sign-in.
func (l *lived) people() {
	b := l.b
	b.signIn("anna@"+acmeDomain, password)
	b.open("/team/new")
	b.fill("name", "Ines Prado", "email", "ines@"+acmeDomain)
	b.click("Add this person")
	b.leave("/team/new")
	b.signOff()
	b.signIn("tom@"+acmeDomain, password)
	b.open("/account")
	b.fill("totp_password", password)
	b.click("Set up")
	b.wait("Switch on")
	l.totp = js[string](b, `[...document.querySelectorAll("code")].map(e => e.innerText.replace(/\s/g, "")).find(t => /^[A-Z2-7]{16,}$/.test(t))`)
	b.fill("code", code(b.t, l.totp, 0))
	b.click("Switch on")
	b.wait("Recovery codes")
	b.signOff()
	l.names["reset"] = inLink(b.t, l.must("user", "reset", "--login", "victor@"+acmeDomain), "/reset/")
	eventually(b.t, patience, "the invitation arrives", func() bool {
		for _, m := range l.mx.Mails() {
			if text := string(m.Data); m.To[0] == "ines@"+acmeDomain && strings.Contains(text, "/invite/") {
				l.names["invite"] = inLink(b.t, strings.ReplaceAll(text, "=\r\n", ""), "/invite/")
				return true
			}
		}
		return false
	})
	first, err := os.ReadFile(filepath.Join(l.fresh.dir, "first-login"))
	if err != nil {
		b.t.Fatal(err)
	}
	l.names["first"] = inLink(b.t, string(first), "/first/")
}

// inLink is what follows in a link.
func inLink(t testing.TB, text, path string) string {
	t.Helper()
	_, after, ok := strings.Cut(text, path)
	if !ok {
		t.Fatalf("no %s in %s", path, text)
	}
	end := strings.IndexFunc(after, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", r)
	})
	if end < 0 {
		end = len(after)
	}
	return after[:end]
}

// testMails sends one over the built-in gateway, which comes back too, and one over a
// server that refuses.
func (l *lived) testMails() {
	for name, who := range map[string]string{"tested": "anna@" + acmeDomain, "refused": "boris@" + borealis} {
		b := l.b
		b.signIn(who, password)
		b.open("/settings/email")
		b.fill("to", who)
		at := jsAwait[string](b, `fetch("/settings/email/test", {method: "POST", body: new URLSearchParams(new FormData(document.querySelector('form[action="/settings/email"]')))}).then(r => r.url)`)
		u, err := url.Parse(at)
		if err != nil || !strings.HasPrefix(u.Path, "/settings/email/test/") {
			b.t.Fatalf("%s, %v", at, err)
		}
		l.names[name] = strings.TrimPrefix(u.RequestURI(), "/settings/email/test/")
		b.open(u.RequestURI())
		if name == "tested" {
			b.wait("DMARC: pass")
		} else {
			b.wait("535")
		}
		b.signOff()
	}
}

// signOff forgets who was signed in.
func (b *browser) signOff() {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"))
	if _, err := chromedp.Call(b.ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
		b.t.Fatal(err)
	}
}
