package panel_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

func TestTheOverviewOfANewOperatorSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	got := w.visitor(t, op, waypost.RoleAdmin).open("/overview")
	got.wants("No mail yet", "Choose how your mail leaves", "Built-in gateway", "Working", "Nothing is waiting")
	got.lacks("data-chart", "alert-danger", "alert-warning")
	viewer := w.visitor(t, op, waypost.RoleViewer).open("/overview")
	viewer.wants("No mail yet")
	viewer.lacks(`href="/keys">API keys</a>
`)
}

var (
	reBalance = regexp.MustCompile(`(?s)id="balance-title".*?</section>`)
	reNumber  = regexp.MustCompile(`<td class="text-end[^"]*">([\d,]+)</td>`)
	reChart   = regexp.MustCompile(`data-chart="([^"]+)"`)
)

// parts are the numbers of the balance: queued, then the final states, and the sum.
func (a answer) parts() []int64 {
	a.t.Helper()
	var list []int64
	for _, m := range reNumber.FindAllStringSubmatch(reBalance.FindString(a.body), -1) {
		n, err := strconv.ParseInt(strings.ReplaceAll(m[1], ",", ""), 10, 64)
		if err != nil {
			a.t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

// drawn is what the script draws: the sum of each series.
func (a answer) drawn() (sums map[string]int64, labels []string) {
	a.t.Helper()
	m := reChart.FindStringSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("no chart: %s", a.text())
	}
	var data struct {
		Labels []string `json:"labels"`
		Series []struct {
			State  string  `json:"state"`
			Values []int64 `json:"values"`
		} `json:"series"`
	}
	if err := json.Unmarshal([]byte(strings.NewReplacer("&#34;", `"`, "&amp;", "&", "&#39;", "'").Replace(m[1])), &data); err != nil {
		a.t.Fatal(err)
	}
	sums = map[string]int64{}
	for _, s := range data.Series {
		if len(s.Values) != len(data.Labels) {
			a.t.Errorf("%s has %d values for %d columns", s.State, len(s.Values), len(data.Labels))
		}
		for _, n := range s.Values {
			sums[s.State] += n
		}
	}
	return sums, data.Labels
}

// fates gives an operator mail of every fate that one can have without waiting.
func (w *world) fates(t *testing.T, op string) {
	t.Helper()
	for i := range 3 {
		w.until(t, op, w.send(t, op, fmt.Sprintf("ok%d@one.example", i), "fine"), waypost.Delivered)
	}
	w.peer.set(reports(waypost.OutcomePermanent, waypost.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}, "recipient"))
	for i := range 2 {
		w.until(t, op, w.send(t, op, fmt.Sprintf("bad%d@one.example", i), "bad"), waypost.Bounced)
	}
	w.refusesForNow()
	for i := range 4 {
		id := w.send(t, op, fmt.Sprintf("late%d@two.example", i), "late")
		d := w.until(t, op, id, waypost.Queued)[0]
		action := map[int]store.ControlAction{0: store.Hold, 1: store.Cancel}[i]
		if action != "" {
			if _, err := w.db.Store.Control(t.Context(), waypost.CommandLine(), op, d.ID, action, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := w.accounts.AddSuppression(t.Context(), waypost.CommandLine(), op, account.NewSuppression{Address: "never@one.example"}); err != nil {
		t.Fatal(err)
	}
	w.dir.Forget(op)
	w.until(t, op, w.send(t, op, "never@one.example", "never"), waypost.Suppressed)
}

func TestTheNumbersOfTheOverviewAgreeWithTheConservationCount(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	w.fates(t, op)
	other := w.operator(t, "Other")
	w.until(t, other, w.send(t, other, "x@x.example", "x"), waypost.Queued)
	got := w.visitor(t, op, waypost.RoleViewer).open("/overview")
	c, err := w.db.Store.Conservation(t.Context(), op)
	if err != nil || !c.Balanced {
		t.Fatal(c, err)
	}
	want := []int64{c.Queued}
	sum := c.Queued
	for _, s := range waypost.FinalStates() {
		want, sum = append(want, *c.Of(s)), sum+*c.Of(s)
	}
	if parts := got.parts(); !slices.Equal(parts, append(want, c.Accepted)) || sum != c.Accepted {
		t.Errorf("the page says %v, the books %+v", parts, c)
	}
	if c.Queued != 3 || c.Delivered != 3 || c.Bounced != 2 || c.Cancelled != 1 || c.Suppressed != 1 {
		t.Errorf("the test is not what it should be: %+v", c)
	}
	sums, labels := got.drawn()
	for _, s := range waypost.FinalStates() {
		if sums[string(s)] != *c.Of(s) {
			t.Errorf("%d %s are drawn, there are %d", sums[string(s)], s, *c.Of(s))
		}
	}
	if len(labels) != 24 {
		t.Errorf("%d hours", len(labels))
	}
	got.wants("60.0%", "In the queue 3", "Held 1", "1 mail is held", "Show waiting mail", "never", "Typical time to deliver", "Median of the last 3 deliveries")
	for period, columns := range map[string]int{"7d": 7, "30d": 30, "24h": 24, "<script>": 24} {
		sums, labels := w.visitor(t, op, waypost.RoleViewer).open("/overview?period=" + period).drawn()
		if len(labels) != columns || sums["delivered"] != 3 {
			t.Errorf("%s: %d columns, %v", period, len(labels), sums)
		}
	}
}

// Retention moves no number of the overview.
func TestTheOverviewCountsWhatIsNoLongerInTheLog(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	w.fates(t, op)
	v := w.visitor(t, op, waypost.RoleViewer)
	before := v.open("/overview").parts()
	w.db.Exec(t, `INSERT INTO retired (operator_id, node, delivered, bounced, expired, cancelled, suppressed, uncertain) VALUES ($1, 'old', 7, 0, 0, 0, 0, 0)`, op)
	w.db.Exec(t, `INSERT INTO counter (operator_id, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain) VALUES ($1, 'old', 7, 7, 0, 0, 0, 0, 0)`, op)
	after := v.open("/overview").parts()
	if len(after) != 8 || after[1] != before[1]+7 || after[7] != before[7]+7 {
		t.Errorf("%v, was %v", after, before)
	}
}

func TestHoursAndDaysAreThoseOfWhoLooks(t *testing.T) {
	now := time.Date(2026, 3, 30, 10, 20, 0, 0, time.UTC) // 15:50 in Kolkata; in Berlin the clock was changed the day before
	w := newWorld(t, func(o *panel.Options) { o.Now = func() time.Time { return now } })
	op := w.operator(t, "Acme")
	add := func(at time.Time, delivered int) {
		w.db.Exec(t, `INSERT INTO rollup (operator_id, hour, kind, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain)
VALUES ($1, $2, 'event', 'n', $3, $3, 0, 0, 0, 0, 0)`, op, at.Unix()/3600, delivered)
	}
	w.db.Exec(t, `INSERT INTO counter (operator_id, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain) VALUES ($1, 'n', 1111, 1111, 0, 0, 0, 0, 0)`, op)
	add(time.Date(2026, 3, 29, 18, 0, 0, 0, time.UTC), 1)    // 23:30 to 0:30 in Kolkata: counted where it begins
	add(time.Date(2026, 3, 29, 19, 0, 0, 0, time.UTC), 10)   // the 30th there
	add(time.Date(2026, 3, 23, 18, 0, 0, 0, time.UTC), 100)  // 23:30 on the 23rd: one day too early for a week there
	add(time.Date(2026, 3, 23, 23, 0, 0, 0, time.UTC), 1000) // the 24th there, and in Berlin
	v := w.visitor(t, op, waypost.RoleViewer)
	for zone, want := range map[string]string{
		"Asia/Kolkata":  "1011 Mar 24, 2026 1,000 1,000 Mar 29, 2026 1 1 Mar 30, 2026 10 10",
		"Europe/Berlin": "1011 Mar 24, 2026 1,000 1,000 Mar 29, 2026 11 11",
		"":              "11 Mar 29, 2026 11 11",
	} {
		w.db.Exec(t, "UPDATE app_user SET zone = $1 WHERE id = $2", zone, v.user.ID)
		w.users.Changed(t.Context())
		got := v.open("/overview?period=7d")
		sums, labels := got.drawn()
		text := strconv.FormatInt(sums["delivered"], 10)
		for _, m := range regexp.MustCompile(`(?s)<tr><th scope="row"[^>]*>([^<]+)</th><td[^>]*>([\d,]+)</td><td[^>]*>([\d,]+)</td>`).FindAllStringSubmatch(got.body, -1) {
			if m[2] != "0" && !strings.HasPrefix(m[1], "Sum") {
				text += " " + m[1] + " " + m[2] + " " + m[3]
			}
		}
		if text != want || len(labels) != 7 {
			t.Errorf("%q: %s in %d days, want %s", zone, text, len(labels), want)
		}
	}
}

func TestWhatNeedsAttentionIsSaidWithAWayToIt(t *testing.T) {
	const said = `535 5.7.8 ` + hostileText
	w := supported(t, false)
	ctx, by := t.Context(), waypost.CommandLine()
	relay := func(op string) {
		if _, err := w.accounts.SaveEmail(ctx, by, op, account.Update{
			Gateway: &account.GatewayUpdate{Type: waypost.GatewaySMTP, Host: "mail.acme.example", Security: waypost.SecurityStartTLS, Auth: &account.AuthUpdate{Username: "u", Password: "p"}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		make  func(op string)
		wants []string
		link  string
	}{
		"suspended": {func(op string) {
			if _, err := w.accounts.Suspend(ctx, by, op); err != nil {
				t.Fatal(err)
			}
		}, []string{"Your mail is stopped", "Stopped by the platform"}, ""},
		"no gateway": {func(op string) {
			if err := w.db.Store.SaveOperator(ctx, by, op, func(o *waypost.Operator) error { o.Gateway = ""; return nil }); err != nil {
				t.Fatal(err)
			}
		}, []string{"Choose how your mail leaves", "None is chosen"}, "/settings/email"},
		"withdrawn": {func(op string) {
			if err := w.accounts.ChangeOperator(ctx, by, op, account.OperatorChange{Product: new(waypost.ProductCloud)}); err != nil {
				t.Fatal(err)
			}
		}, []string{"Your gateway is not part of your product any more", "Not part of your product"}, "/settings/email"},
		"relay failing": {func(op string) {
			relay(op)
			if err := w.db.System.SetRelayHealth(ctx, waypost.RelayHealth{OperatorID: op, FailingSince: time.Now().Add(-time.Hour), Reason: said, NextProbe: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}, []string{"Your SMTP server does not take the mail", "Not working since", said}, "/settings/email"},
		"domain drifted": {func(op string) {
			d := w.claim(t, op, "drift-"+op[30:]+".example")
			w.checked(t, d.ID, true, allRight()...)
			w.doubt(t, d.ID, verify.SPFPart)
		}, []string{"needs a look", "Mail still leaves with your address"}, "/domains/"},
		"domain lapsed": {func(op string) {
			d := w.claim(t, op, "lapse-"+op[30:]+".example")
			w.doubt(t, d.ID, verify.DKIM1)
		}, []string{"is not authorized any more", "leaves with the platform's address"}, "/domains/"},
		"sender rejected": {func(op string) {
			s := waypost.Sender{ID: waypost.NewID(), OperatorID: op, Address: "x@rejected.example", State: waypost.SenderRequested}
			if err := w.db.Store.AddSender(ctx, by, op, s, 10); err != nil {
				t.Fatal(err)
			}
			s.State, s.Reason = waypost.SenderRejected, said
			if err := w.db.System.DecideSender(ctx, by, s, waypost.SenderRequested); err != nil {
				t.Fatal(err)
			}
		}, []string{"x@rejected.example was rejected", said}, "/domains#senders"},
		"many bounces": {func(op string) {
			w.db.Exec(t, `INSERT INTO rollup (operator_id, hour, kind, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain)
VALUES ($1, $2, 'event', 'n', 1000, 900, 100, 0, 0, 0, 0)`, op, time.Now().Unix()/3600)
		}, []string{"Many mails bounce", "100 of 1,000 mails"}, "/messages?state=bounced"},
	} {
		t.Run(name, func(t *testing.T) {
			op := w.operator(t, "Acme")
			v := w.visitor(t, op, waypost.RoleAdmin)
			v.open("/overview").lacks("wp-attention")
			c.make(op)
			w.dir.Forget(op)
			got := v.open("/overview")
			got.wants(c.wants...)
			got.lacks("<script>alert")
			if c.link != "" && !strings.Contains(got.body, `<a class="btn" href="`+c.link) {
				t.Errorf("no way to %s:\n%s", c.link, got.body)
			}
		})
	}
}

// doubt notes that a record of a domain is, beyond doubt, no longer right.
func (w *world) doubt(t *testing.T, id string, part verify.Part) {
	t.Helper()
	text, err := json.Marshal(verify.Watch{Doubts: map[verify.Part]verify.Doubt{part: {Since: time.Now(), Checks: 9, Told: true}}})
	if err != nil {
		t.Fatal(err)
	}
	w.db.Exec(t, "UPDATE domain SET watch = $1 WHERE id = $2", string(text), id)
}

func TestAFewBouncesAreNoAlarm(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	for _, c := range []struct{ delivered, bounced int }{{900, 19}, {10000, 100}, {0, 19}} {
		w.db.Exec(t, "DELETE FROM rollup WHERE operator_id = $1", op)
		w.db.Exec(t, `INSERT INTO rollup (operator_id, hour, kind, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain)
VALUES ($1, $2, 'event', 'n', $3, $3, $4, 0, 0, 0, 0)`, op, time.Now().Unix()/3600, c.delivered, c.bounced)
		if got := w.visitor(t, op, waypost.RoleViewer).open("/overview"); strings.Contains(got.text(), "Many mails bounce") {
			t.Errorf("%+v", c)
		}
	}
}

func TestThePartAboutNowIsAskedForAlone(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	w.fates(t, op)
	v := w.visitor(t, op, waypost.RoleViewer)
	got := v.part("/overview")
	if got.status != http.StatusOK || !strings.HasPrefix(strings.TrimSpace(got.body), "<section id=\"now\"") || strings.Contains(got.body, "<html") {
		t.Errorf("%d: %s", got.status, got.body)
	}
	got.wants("In the queue 3", "Held 1")
	if !strings.Contains(v.open("/overview").body, `hx-get="/overview"`) {
		t.Error("the page does not ask for it")
	}
}

func TestTheOverviewShowsTheLatestMessagesWhateverTheySay(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	for _, subject := range []string{hostileText, strings.Repeat("long ", 500), ""} {
		w.until(t, op, w.hand(t, op, "From: a@b.example\nSubject: "+strings.ReplaceAll(subject, "long ", "long\n ")+"\n\nx"), waypost.Delivered)
	}
	for i := range 9 {
		w.until(t, op, w.send(t, op, "a@b.example", fmt.Sprint("number ", i)), waypost.Delivered)
	}
	got := w.visitor(t, op, waypost.RoleViewer).open("/overview")
	got.wants("number 8", "number 0", "(no subject)")
	got.lacks("<script>alert")
	if n := strings.Count(got.body, `href="/messages/`); n != 10 {
		t.Errorf("%d messages", n)
	}
}

// busy is an operator with 20,000 queued mails.
func busy(t testing.TB, w *world) string {
	t.Helper()
	op := w.operator(t, "Acme")
	for range 20 {
		all := storetest.Mail{OperatorID: op, In: time.Hour}.Accepting()
		for range 999 {
			one := storetest.Mail{OperatorID: op, In: time.Hour}.Accepting()
			all.Messages, all.Bodies, all.Deliveries = append(all.Messages, one.Messages...), append(all.Bodies, one.Bodies...), append(all.Deliveries, one.Deliveries...)
		}
		if err := w.db.Store.Accept(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	return op
}

func TestTheOverviewOfALotOfMailIsBounded(t *testing.T) {
	w := newWorld(t)
	w.visitor(t, busy(t, w), waypost.RoleViewer).open("/overview").wants("In the queue 20,000", "or before")
}

func BenchmarkOverviewOfALotOfMail(b *testing.B) {
	w := newWorld(b)
	v := w.visitor(b, busy(b, w), waypost.RoleViewer)
	for b.Loop() {
		v.open("/overview")
	}
}
