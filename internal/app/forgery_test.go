package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

// forgeries is a platform that has sent some mail, with the most that an owner can allow, and
// a forger, who got one of these mails.
type forgeries struct {
	*app.App
	mx *mailtest.SMTP // of all domains there are
	op string

	paths map[string]string // return paths by recipient; the forger knows its own only
	ids   map[string]string // Message-ID fields, likewise
	kept  int               // mails that lie in the owner's local mailbox
}

const (
	victim = "victim@site.test"
	forger = "forger@site.test"
)

func newForgeries(t *testing.T) *forgeries {
	t.Helper()
	mx := mailtest.StartSMTP(t, mailtest.Knobs{})
	zones := dnstest.Zones{"mx.site.test": {"A 127.0.0.1"}}
	for _, domain := range []string{"site.test", "third.test", "acme.test", "platform.test"} {
		zones[domain] = []string{"MX 10 mx.site.test"}
	}
	srv := dnstest.Start(t, zones)
	f := &forgeries{mx: mx, paths: map[string]string{}, ids: map[string]string{}}
	f.App = start(t, settings(t, "WAYPOST_PLATFORM_DOMAIN=platform.test", "WAYPOST_DNS_RESOLVER="+srv.Addr, "WAYPOST_BOUNCE_ADDR=127.0.0.1:0",
		fmt.Sprintf("WAYPOST_MX_PORT=%d", mx.Port()), "WAYPOST_GUARD_ALLOW=127.0.0.0/8"))
	if _, err := f.System.ChangePlatformSettings(t.Context(), waypost.CommandLine(), func(p *waypost.PlatformSettings) error {
		p.ReturnPath = waypost.ReturnPathSettings{Forward: true, Courtesy: "Nobody reads this.\nCall us."}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	contact := "owner@acme.test"
	if err := f.Accounts.ChangeOperator(t.Context(), waypost.CommandLine(), waypost.PlatformOperatorID, account.OperatorChange{Contact: &contact}); err != nil {
		t.Fatal(err)
	}
	var key string
	f.op, key = operator(t, f.Base, "boss@acme.test")
	to := []string{victim, forger, "second@site.test", "third@third.test"}
	for _, to := range to {
		if err := submit(t, f.App, key, to, "Truck 7"); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range mx.WaitMails(t, len(to)) {
		f.paths[m.To[0]] = m.From
		for line := range strings.Lines(string(m.Data)) {
			if id, ok := strings.CutPrefix(line, "Message-ID: "); ok {
				f.ids[m.To[0]] = strings.TrimSpace(id)
			}
		}
	}
	eventually(t, func() error {
		n, err := f.Store.Totals(t.Context(), f.op)
		if err == nil && n.Delivered != int64(len(to)) {
			err = fmt.Errorf("%+v", n)
		}
		return err
	})
	return f
}

// state is every row of every table, but for what changes by itself, and mail that strangers
// may leave for the owner.
func (f *forgeries) state(t *testing.T) []string {
	t.Helper()
	read := func(query string) (list [][]any) {
		t.Helper()
		rows, err := f.Engine.Reader().QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			list = append(list, values)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return list
	}
	var lines []string
	for _, table := range read("SELECT name FROM sqlite_master WHERE type = 'table'") {
		name, where := table[0].(string), ""
		switch name {
		case "node", "chore": // the node lives
			continue
		case "sandbox":
			where = " WHERE operator_id <> '" + waypost.PlatformOperatorID + "'"
		}
		for _, row := range read("SELECT * FROM " + name + where) {
			text, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, name+": "+string(text))
		}
	}
	slices.Sort(lines)
	return lines
}

// changes are the lines that only one of two states has.
func changes(before, after []string) []string {
	var list []string
	for _, line := range before {
		if _, ok := slices.BinarySearch(after, line); !ok {
			list = append(list, "- "+line)
		}
	}
	for _, line := range after {
		if _, ok := slices.BinarySearch(before, line); !ok {
			list = append(list, "+ "+line)
		}
	}
	return list
}

// unchanged fails if anything is not as it was, or mail went out.
func (f *forgeries) unchanged(t *testing.T, before []string, mails int) {
	t.Helper()
	after := f.state(t)
	for _, line := range changes(before, after) {
		t.Errorf("%.600s", line)
	}
	if len(after) != len(before) {
		t.Errorf("%d rows instead of %d", len(after), len(before))
	}
	if n := len(f.mx.Dotted()); n != mails {
		t.Errorf("%d mails went out since", n-mails)
	}
	kept, _, err := f.System.SandboxAll(t.Context(), waypost.PlatformOperatorID, "", 100)
	if err != nil || len(kept) != f.kept {
		t.Errorf("%d mails are in the owner's mailbox instead of %d, %v", len(kept), f.kept, err)
	}
}

// forgery is a conversation, and how its last reply begins. It ends with the first refusal.
type forgery struct {
	name, want string
	lines      []string
}

// say is a conversation after EHLO.
func say(name, want string, lines ...string) forgery { return forgery{name, want, lines} }

// bring is a mail for one recipient.
func bring(name, from, to, data, want string) forgery {
	return say(name, want, "MAIL FROM:<"+from+">", "RCPT TO:<"+to+">", "DATA", strings.ReplaceAll(data, "\n", "\r\n")+"\r\n.")
}

// to asks for a recipient.
func to(path, want string) forgery { return say("for "+path, want, "MAIL FROM:<x@third.test>", path) }

// talk holds a conversation with a listener and returns the last reply. A server that hangs
// up has said all.
func (f *forgeries) talk(t *testing.T, listener string, c forgery) string {
	t.Helper()
	conn, err := net.Dial("tcp", f.Addr(listener).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(conn)
	last := ""
	for _, line := range append([]string{"", "EHLO third.test"}, c.lines...) {
		if line != "" {
			if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
				return last
			}
		}
		reply, more := "", true
		for more {
			text, err := r.ReadString('\n')
			if err != nil {
				return last
			}
			reply, more = reply+text, len(text) > 3 && text[3] == '-'
		}
		if last = reply; last[0] >= '4' {
			return last
		}
	}
	return last
}

// all holds conversations with the return path.
func (f *forgeries) all(t *testing.T, list []forgery) {
	t.Helper()
	for _, c := range list {
		got := f.talk(t, app.ListenBounce, c)
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if strings.HasPrefix(got, "250") && slices.ContainsFunc(c.lines, func(l string) bool {
			return strings.HasPrefix(l, "RCPT TO:<postmaster") || strings.HasPrefix(l, "RCPT TO:<abuse")
		}) {
			f.kept++
		}
	}
}

// dsn is a report about recipients, each with an action and a status.
func dsn(fields string, recipients ...string) string {
	text := "From: MAILER-DAEMON@site.test\nSubject: Undelivered Mail Returned to Sender\n" + fields +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSorry.\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.site.test\n"
	for _, r := range recipients {
		to, rest, _ := strings.Cut(r, " ")
		action, status, _ := strings.Cut(rest, " ")
		text += "\nFinal-Recipient: rfc822; " + to + "\nAction: " + action + "\nStatus: " + status + "\nDiagnostic-Code: smtp; 550 " + status + " no such user\n"
	}
	return text + "--b--"
}

// arf is a feedback report about a mail with a return path.
func arf(kind, path string) string {
	return "From: fbl@third.test\nSubject: complaint\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nSpam.\n" +
		"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: " + kind + "\nUser-Agent: x/1\nVersion: 1\nOriginal-Mail-From: <" + path + ">\nOriginal-Rcpt-To: " + victim +
		"\n--b\nContent-Type: message/rfc822\n\nReturn-Path: <" + path + ">\nTo: " + victim + "\nSubject: Truck 7\n\nHello.\n--b--"
}

// re is an answer to a mail.
func re(from, id, fields string) string {
	return "From: " + from + "\nTo: no-reply@platform.test\nSubject: Re: Truck 7\nIn-Reply-To: " + id + "\nReferences: " + id + "\n" + fields + "\nBuy this.\n"
}

func TestNothingThatAStrangerSendsHasAnyEffect(t *testing.T) {
	f := newForgeries(t)
	own, local := f.paths[forger], strings.Split(f.paths[forger], "@")[0]
	id := func(s string) string { return "<" + s + "@platform.test>" }
	gone, sorry := victim+" failed 5.1.1", "550-5.7.1 Nobody reads this.\r\n550 5.7.1 Call us.\r\n"
	noReply := "no-reply@platform.test"
	before, mails := f.state(t), len(f.mx.Dotted())

	f.all(t, []forgery{
		// Return paths that we did not make.
		bring("no MAC", "", "b-"+strings.Repeat("a", 40)+"@bounce.platform.test", dsn("", gone), "550 5.1.1 "),
		bring("a flipped bit", "", flip(local)+"@bounce.platform.test", dsn("", gone), "550 5.1.1 "),
		bring("a flipped bit of the id", "", local[:5]+flip(local[5:10])+local[10:]+"@bounce.platform.test", dsn("", gone), "550 5.1.1 "),
		bring("half a MAC", "", local[:34]+"@bounce.platform.test", dsn("", gone), "550 5.1.1 "),
		bring("the other delivery's id", "", strings.Split(f.paths[victim], "@")[0][:27]+local[27:]+"@bounce.platform.test", dsn("", gone), "550 5.1.1 "),
		bring("at a domain that is none", "", local+"@platform.test", dsn("", gone), "550 5.1.1 "),
		bring("at a stranger's domain", "", local+"@third.test", dsn("", gone), "550 5.7.1 "),
		bring("quoted", "", `"`+local+`"@bounce.platform.test`, dsn("", gone), "550 5.1.1 "),
		bring("with a detail", "", local+"+x@bounce.platform.test", dsn("", gone), "550 5.1.1 "),

		// A genuine return path, and mail that is no report about it.
		bring("of two others", "", own, dsn("", gone, "second@site.test failed 5.1.1"), "250 "),
		bring("with a sender", "x@third.test", own, dsn("", gone), "250 "),
		bring("with a sender, of itself", "x@third.test", own, dsn("", forger+" failed 5.1.1"), "250 "),
		bring("still trying", "", own, dsn("", forger+" delayed 4.4.1"), "250 "),
		bring("delivered", "", own, dsn("", forger+" delivered 2.0.0", victim+" relayed 2.0.0"), "250 "),
		bring("out of office", "", own, "From: "+victim+"\nSubject: Out of office\nAuto-Submitted: auto-replied\n\n550 5.1.1 no such user", "250 "),
		bring("a challenge", "", own, strings.NewReplacer("Sorry.", "Please verify that you are a person.", "smtp; 550 4.7.0 no such user", "X-Boxbe-Notice; Sender not pre-approved").Replace(dsn("", forger+" failed 4.7.0")), "250 "),
		bring("not spam", "fbl@third.test", own, arf("not-spam", own), "250 "),
		bring("failed authentication", "fbl@third.test", own, arf("auth-failure", own), "250 "),
		bring("a person", "x@third.test", own, "From: x@third.test\nSubject: 550 5.1.1\n\nuser unknown "+victim, sorry),
		say("two return paths", "452 4.5.3 ", "MAIL FROM:<>", "RCPT TO:<"+own+">", "RCPT TO:<"+own+">"),

		// Reports to people.
		bring("a bounce to postmaster", "", "postmaster@platform.test", dsn("", gone), "250 "),
		bring("a bounce to abuse", "", "abuse@bounce.platform.test", dsn("X-Failed-Recipients: "+victim+"\n", gone), "250 "),
		bring("a complaint without a return path", "fbl@third.test", "abuse@platform.test", arf("abuse", "x@third.test"), "250 "),
		bring("a complaint with a forged one", "fbl@third.test", "abuse@platform.test", arf("abuse", flip(local)+"@bounce.platform.test"), "250 "),
		bring("a complaint with a recipient only", "fbl@third.test", "postmaster", arf("abuse", victim), "250 "),
		bring("a bounce to an address that is none", "", "someone@platform.test", dsn("", gone), "550 5.1.1 "),
		bring("a test address that nobody made", "", "test-aaaaaaaaaaaaaaaa@bounce.platform.test", dsn("", gone), "550 5.1.1 "),

		// Answers to the default sender.
		bring("no answer", "x@third.test", noReply, "From: x@third.test\nSubject: Hello\n\nHello", sorry),
		bring("a guessed Message-ID", victim, noReply, re(victim, id(waypost.NewID()), ""), sorry),
		bring("many guessed ones", victim, noReply, re(victim, strings.TrimSpace(strings.Repeat(id(waypost.NewID())+" ", 100)), ""), sorry),
		bring("the forger's own, as the victim", victim, noReply, re(victim, f.ids[forger], ""), sorry),
		bring("the forger's own, as a third", forger, noReply, re("x@third.test", f.ids[forger], ""), sorry),
		bring("the forger's own, as two", forger, noReply, re(forger+", x@third.test", f.ids[forger], ""), sorry),
		bring("the victim's, as the forger", forger, noReply, re(forger, f.ids[victim], ""), sorry),
		bring("at another domain", forger, noReply, re(forger, strings.Replace(f.ids[forger], "platform", "third", 1), ""), sorry),
		bring("by a program", forger, noReply, re(forger, f.ids[forger], "Auto-Submitted: auto-replied\n"), sorry),
		bring("through a list", forger, noReply, re(forger, f.ids[forger], "List-Id: <x.third.test>\n"), sorry),
		bring("no sender", "", noReply, re(forger, f.ids[forger], ""), sorry),
		bring("a bounce to it", "", noReply, dsn("In-Reply-To: "+f.ids[forger]+"\n", gone), sorry),
		say("with others", "452 4.5.3 ", "MAIL FROM:<x@third.test>", "RCPT TO:<postmaster>", "RCPT TO:<"+noReply+">"),

		// A relay for nobody.
		to("RCPT TO:<x@third.test>", "550 5.7.1 "),
		to("RCPT TO:<victim@site.test>", "550 5.7.1 "),
		to("RCPT TO:<x%third.test@platform.test>", "550 5.1.1 "),
		to("RCPT TO:<x%third.test@bounce.platform.test>", "550 5.1.1 "),
		to("RCPT TO:<x%third.test@[127.0.0.1]>", "550 5.7.1 "),
		to("RCPT TO:<x%third.test>", "553 5.1.3 "),
		to("RCPT TO:<third.test!x>", "553 5.1.3 "),
		to("RCPT TO:<third.test!x@platform.test>", "550 5.1.1 "),
		to("RCPT TO:<platform.test!third.test!x@bounce.platform.test>", "550 5.1.1 "),
		to(`RCPT TO:<"x@third.test">`, "553 5.1.3 "),
		to(`RCPT TO:<"x@third.test"@platform.test>`, "550 5.1.1 "),
		to(`RCPT TO:<"x%third.test"@platform.test>`, "550 5.1.1 "),
		to(`RCPT TO:<"postmaster@platform.test"@third.test>`, "550 5.7.1 "),
		to(`RCPT TO:<"postmaster\"@platform.test>`, "501 "),
		to("RCPT TO:<@platform.test:x@third.test>", "550 5.7.1 "),
		to("RCPT TO:<@platform.test,@bounce.platform.test:x@third.test>", "550 5.7.1 "),
		to("RCPT TO:<@third.test:postmaster@third.test>", "550 5.7.1 "),
		to("RCPT TO:<x@third.test.>", "553 5.1.3 "),
		to("RCPT TO:<postmaster@platform.test.>", "553 5.1.3 "),
		to("RCPT TO:<x@third.test@platform.test>", "553 5.1.3 "),
		to("RCPT TO:<x@platform.test@third.test>", "553 5.1.3 "),
		to("RCPT TO:<x@[127.0.0.1]>", "550 5.7.1 "),
		to("RCPT TO:<x@[IPv6:::1]>", "550 5.7.1 "),
		to("RCPT TO:<postmaster@[192.0.2.1]>", "550 5.7.1 "),
		to("RCPT TO:<postmaster@third.test>", "550 5.7.1 "),
		to("RCPT TO:<abuse>", "553 5.1.3 "),
		to("RCPT TO:<postmaster@platform.test@>", "553 5.1.3 "),
		to("RCPT TO:<x@localhost>", "550 5.7.1 "),
		to("RCPT TO:<@>", "553 5.1.3 "),
		to("RCPT TO:<>", "553 5.1.3 "),
		to("RCPT TO:x@third.test", "550 5.7.1 "),
		to("RCPT TO:<x@third.test> NOTIFY=SUCCESS ORCPT=rfc822;x@third.test", "555 5.5.4 "),
		to("RCPT TO:<postmaster@platform.test><x@third.test>", "501 5.5.4 "),
		to("RCPT TO:<postmaster@platform.test,x@third.test>", "553 5.1.3 "),
		to("RCPT TO:<postmaster@platform.test\x00x@third.test>", "553 5.1.3 "),
		to("RCPT TO:<postmaster@platform.test\rRCPT TO:<x@third.test>", "5"),
		to("RCPT TO:<třetí@third.test>", "553 5.6.7 "),
		say("UTF-8", "550 5.7.1 ", "MAIL FROM:<x@third.test> SMTPUTF8", "RCPT TO:<třetí@third.test>"),
		say("a domain that looks like ours", "550 5.7.1 ", "MAIL FROM:<x@third.test> SMTPUTF8", "RCPT TO:<postmaster@plаtform.test>"),
		say("a full-width sign", "553 ", "MAIL FROM:<x@third.test> SMTPUTF8", "RCPT TO:<postmaster＠platform.test>"),
		say("as the default sender", "550 5.7.1 ", "MAIL FROM:<no-reply@platform.test>", "RCPT TO:<x@third.test>"),
		say("as a return path of ours", "550 5.7.1 ", "MAIL FROM:<"+own+">", "RCPT TO:<x@third.test>"),
		say("with no sender", "550 5.7.1 ", "MAIL FROM:<>", "RCPT TO:<x@third.test>"),
		say("with a login", "5", "AUTH PLAIN AHgAeA==", "MAIL FROM:<x@third.test>", "RCPT TO:<x@third.test>"),

		// Ends of a mail that others would see (SMTP smuggling), and what may follow them.
		smuggled("\n.\n"), smuggled("\n.\r\n"), smuggled("\r\n.\n"), smuggled("\r.\r"), smuggled("\r\n.\r"), smuggled("\r.\r\n"), smuggled("\r\n\x00.\r\n"), smuggled("\n\n.\r\n"),
		say("behind STARTTLS", "503 5.5.1 ", "STARTTLS\r\nMAIL FROM:<x@third.test>\r\nRCPT TO:<x@third.test>"),
		say("a browser", "421 4.7.0 ", "POST / HTTP/1.1"),

		// Who is there.
		say("VRFY", "252 2.5.2 Cannot verify", "VRFY "+victim),
		say("VRFY of one of ours", "252 2.5.2 Cannot verify", "VRFY postmaster"),
		say("EXPN", "502 5.5.1 ", "EXPN staff"),
		say("ETRN", "502 5.5.1 ", "ETRN third.test"),
		say("TURN", "502 5.5.1 ", "TURN"),
	})
	if f.kept < 5 {
		t.Errorf("%d mails to the owner were taken", f.kept)
	}
	f.unchanged(t, before, mails)

	// Where mail is submitted nobody gets as far as a recipient.
	for _, from := range []string{"<>", "<x@third.test>", "<no-reply@platform.test>", "<" + own + ">", "<alerts@acme.test>"} {
		c := say(from, "530 5.7.0 ", "MAIL FROM:"+from)
		if got := f.talk(t, app.ListenSMTP, c); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q", from, got)
		}
	}
	f.unchanged(t, before, mails)
	f.requests(t)
	f.unchanged(t, before, mails)
}

// smuggled is a mail with a second one behind an end that is none.
func smuggled(end string) forgery {
	return say(fmt.Sprintf("smuggled behind %q", end), "550 5.6.11 ", "MAIL FROM:<x@third.test>", "RCPT TO:<no-reply@platform.test>", "DATA",
		"Subject: Hi\r\n\r\nHi"+end+"MAIL FROM:<no-reply@platform.test>\r\nRCPT TO:<x@third.test>\r\nDATA\r\nBuy this.\r\n.")
}

// flip changes the last character of a text to another one that may be there.
func flip(s string) string {
	last := "a"
	if strings.HasSuffix(s, last) {
		last = "b"
	}
	return s[:len(s)-1] + last
}

// requests tries everything that the HTTP listener has, as somebody who is not signed in.
func (f *forgeries) requests(t *testing.T) {
	t.Helper()
	base := "http://" + f.Addr(app.ListenHTTP).String()
	var described struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	_, text := get(t, base+"/openapi.json", nil, "")
	if err := json.Unmarshal([]byte(text), &described); err != nil || len(described.Paths) < 20 {
		t.Fatal(err, len(described.Paths))
	}
	try := func(method, path, kind, body string, fields ...string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	object := `{"address":"` + victim + `","reason":"manual","to":[{"email":"x@third.test"}],"from":{"email":"no-reply@platform.test"},"text":"Hi","verify":true,"suspended":true}`
	for path, methods := range described.Paths {
		path = strings.NewReplacer("{id}", waypost.PlatformOperatorID, "{address}", victim).Replace(path)
		for method := range methods {
			method = strings.ToUpper(method)
			for _, login := range [][]string{
				nil,
				{"Authorization", "Bearer wp_live_" + strings.Repeat("a", 40)},
				{"Authorization", "Basic YWRtaW46YWRtaW4="},
				{"X-Waypost-Operator", f.op, "Cookie", "session=x; waypost_session=x", "X-Forwarded-For", "127.0.0.1"},
			} {
				if status := try(method, path, "application/json", object, login...); status != http.StatusUnauthorized && status != http.StatusNotFound && status != http.StatusTooManyRequests {
					t.Errorf("%s %s with %q: %d", method, path, login, status)
				}
			}
		}
	}
	form := "address=" + victim + "&reason=manual&action=cancel&courtesy=x&forward=true&login=x%40third.test&email=x%40third.test&password=x&to=x%40third.test&name=x"
	for _, path := range []string{
		"/suppressions", "/suppressions/remove", "/suppressions/exempt", "/suppressions/exempt/remove", "/settings/email", "/settings/email/test",
		"/platform/settings/return_path", "/platform/settings/suppression", "/platform/operators/" + f.op + "/suspend", "/platform/operators/" + f.op + "/delete",
		"/platform/queue/control", "/messages/" + f.message(forger) + "/resend", "/messages/" + f.message(forger) + "/deliveries", "/senders", "/domains", "/keys/new",
		"/team/new", "/platform/users/new", "/platform/start/admin", "/platform/dns/rotate", "/sign-in", "/sign-in/code", "/forgot", "/account/password", "/nothing",
		"/unsubscribe/x", "/u/x",
	} {
		for _, kind := range []string{"application/x-www-form-urlencoded", "application/json"} {
			status := try(http.MethodPost, path, kind, form)
			if status < 400 && path != "/forgot" && status != http.StatusSeeOther { // which tells nobody who is known
				t.Errorf("POST %s: %d", path, status)
			}
		}
	}
}

// message is the id of the message for a recipient.
func (f *forgeries) message(to string) string {
	id, _, _ := strings.Cut(strings.Trim(f.ids[to], "<>"), "@")
	return id
}

// TestGenuineReportsCount shows that the test before it could fail.
func TestGenuineReportsCount(t *testing.T) {
	f := newForgeries(t)
	path := f.paths["second@site.test"]
	before, mails := f.state(t), len(f.mx.Dotted())
	f.all(t, []forgery{
		bring("a bounce", "", f.paths[victim], dsn("", victim+" failed 5.1.1"), "250 "),
		bring("a complaint at the return path", "fbl@site.test", path, arf("abuse", path), "250 "),
		bring("a complaint at abuse", "fbl@third.test", "abuse@platform.test", arf("abuse", f.paths["third@third.test"]), "250 "),
	})
	after := f.state(t)
	for _, want := range []string{
		`+ suppression: .*"victim@site.test","hard_bounce"`, `+ suppression: .*"second@site.test","complaint"`, `+ suppression: .*"third@third.test","complaint"`,
		`+ feedback: .*"bounce"`, `+ feedback: .*"complaint"`, `+ event: .*"bounced"`, `+ event: .*"complained"`, `+ delivery: .*"victim@site.test".*"bounced"`, `+ counter: `,
	} {
		begin, rest, _ := strings.Cut(want, ".*")
		if !slices.ContainsFunc(changes(before, after), func(line string) bool {
			return strings.HasPrefix(line, begin) && containsAll(line, strings.Split(rest, ".*"))
		}) {
			t.Errorf("there is no %s among\n%s", want, strings.Join(changes(before, after), "\n"))
		}
	}
	// Whoever reports again says nothing new.
	f.all(t, []forgery{
		bring("once more", "", f.paths[victim], dsn("", victim+" failed 5.1.1"), "250 "),
		bring("in other words", "", f.paths[victim], dsn("X-Other: 1\n", victim+" failed 5.2.2"), "250 "),
		bring("in capitals", "", strings.ToUpper(f.paths[victim]), dsn("", victim+" failed 5.1.1"), "250 "),
		bring("at another domain of ours", "", strings.Replace(f.paths[victim], "@bounce.platform.test", "@bounce.third.test", 1), dsn("", victim+" failed 5.1.1"), "250 "),
		bring("the complaint", "fbl@site.test", path, arf("fraud", path), "250 "),
	})
	f.unchanged(t, after, mails)

	// An answer to a mail goes to its operator's contact, once.
	for range 2 {
		f.all(t, []forgery{bring("an answer", "x@site.test", "no-reply@platform.test", re("Forger <"+forger+">", f.ids[forger], ""), "250 ")})
	}
	got := f.mx.WaitMails(t, mails+1)
	if last := got[mails]; len(last.To) != 1 || last.To[0] != "boss@acme.test" || !strings.Contains(string(last.Data), "Reply-To: \"Forger\" <"+forger+">") {
		t.Errorf("%v %s", last.To, last.Data)
	}
	eventually(t, func() error {
		n, err := f.Store.Totals(t.Context(), waypost.PlatformOperatorID)
		if err == nil && (n.Accepted != 1 || n.Delivered != 1) {
			err = fmt.Errorf("%+v", n)
		}
		return err
	})
	if n := len(f.mx.Dotted()); n != mails+1 {
		t.Errorf("%d mails went out", n-mails)
	}
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// Who got a mail has a return path that works, and can report with it what it likes.
func TestWhoGotAMailHarmsNobodyElseWithIt(t *testing.T) {
	f := newForgeries(t)
	own := f.paths[forger]
	before, mails := f.state(t), len(f.mx.Dotted())
	f.all(t, []forgery{
		bring("of the victim", "", own, dsn("X-Failed-Recipients: "+victim+"\n", victim+" failed 5.1.1"), "250 "),
		bring("of itself and the victim", "", own, dsn("", forger+" failed 5.1.1", victim+" failed 5.1.1"), "250 "),
		bring("a complaint of the victim", "fbl@third.test", own, arf("abuse", own), "250 "),
		bring("a complaint of many", "fbl@third.test", "abuse@platform.test", strings.Replace(arf("abuse", own), "Version: 1\n", "Version: 1\nIncidents: 1000\nOriginal-Rcpt-To: third@third.test\n", 1), "250 "),
	})
	// What is left of both states without the forger's own rows, and the numbers that count it.
	mine := func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			table, _, _ := strings.Cut(line, ":")
			return strings.Contains(line, forger) || strings.Contains(line, f.delivery(t, forger)) ||
				table == "counter" || table == "rollup" || table == "instance"
		})
	}
	for _, line := range changes(mine(before), mine(f.state(t))) {
		t.Errorf("%.600s", line)
	}
	if n := len(f.mx.Dotted()); n != mails {
		t.Errorf("%d mails went out", n-mails)
	}
	for _, address := range []string{victim, "second@site.test", "third@third.test"} {
		if found, err := f.Store.SuppressionsFor(t.Context(), f.op, []string{address}); err != nil || len(found) != 0 {
			t.Errorf("%s: %+v, %v", address, found, err)
		}
	}
	n, err := f.Store.Totals(t.Context(), f.op)
	if err != nil || n.Accepted != 4 || n.Delivered != 3 || n.Bounced != 1 {
		t.Errorf("%+v, %v", n, err)
	}
}

// delivery is the id of the delivery to a recipient.
func (f *forgeries) delivery(t *testing.T, to string) string {
	t.Helper()
	found, err := f.Store.Message(t.Context(), f.op, f.message(to))
	if err != nil {
		t.Fatal(err)
	}
	return found.Deliveries[0].ID
}
