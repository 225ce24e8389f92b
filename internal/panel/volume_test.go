package panel_test

import (
	"flag"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

var volume = flag.Int("messages", 10_000_000, "how many messages the benchmark of pages is run over") //nolint:gochecknoglobals // a flag of the test

// manyMails is a panel over a lot of mail, most of it of one operator.
type manyMails struct {
	*world
	storetest.Volume
}

func newManyMails(t testing.TB, engine string, messages int) manyMails {
	t.Helper()
	db, v := storetest.OpenVolume(t, engine, messages)
	return manyMails{Volume: v, world: worldOn(t, db)}
}

// pageOfMany is a page of the panel with a lot of mail behind it. Each call of path is
// another one of its sort.
type pageOfMany struct {
	name string
	path func(number int) string
}

// pages are the lists and figures that must be quick however much mail there is; number is
// that of any message.
func (m manyMails) pages() []pageOfMany {
	query := func(pairs ...string) func(int) string {
		return func(int) string {
			q := url.Values{}
			for i := 0; i < len(pairs); i += 2 {
				q.Set(pairs[i], pairs[i+1])
			}
			return "/messages?" + q.Encode()
		}
	}
	day := func(ago int) string { return m.Until.AddDate(0, 0, -ago).Format(time.DateOnly) }
	return []pageOfMany{
		{"messages", query()},
		{"messages further down", func(n int) string { return "/messages?cursor=" + m.MessageID(n) }},
		{"messages of an address", func(n int) string { return "/messages?recipient=" + url.QueryEscape(m.Recipient(n)) }},
		{"messages of no address", query("recipient", "nobody@nowhere.example")},
		{"messages of a domain", query("recipient", "@site1.example")},
		{"messages of the beginning of an address", func(n int) string { return "/messages?recipient=" + url.QueryEscape(m.Recipient(n)[:10]+"*") }},
		{"messages of a common beginning", query("recipient", "driver*")},
		{"messages with a word", query("subject", "vehicle")},
		{"messages with a rare word", query("subject", "nonesuch")},
		{"messages of a kind", query("kind", "report")},
		{"messages of a rare kind", query("kind", "security")},
		{"messages with a tag", query("tag", "nonesuch")},
		{"bounced messages", query("state", "bounced")},
		{"queued messages", query("state", "queued")},
		{"uncertain messages", query("state", "uncertain")},
		{"messages of a day", query("from", day(9), "to", day(9))},
		{"bounced reports of a week", query("from", day(19), "to", day(12), "state", "bounced", "kind", "report")},
		{"overview of a day", func(int) string { return "/overview" }},
		{"overview of 30 days", func(int) string { return "/overview?period=30d" }},
		{"one message", func(n int) string { return "/messages/" + m.MessageID(n) }},
		{"audit log", func(int) string { return "/audit" }},
		{"suppressions", func(int) string { return "/suppressions" }},
	}
}

func (m manyMails) platformPages() []pageOfMany {
	fixed := func(path string) func(int) string { return func(int) string { return path } }
	return []pageOfMany{
		{"operators", fixed("/platform/operators")},
		{"queue", fixed("/platform/queue")},
		{"an operator", func(int) string { return "/platform/operators/" + m.Operators[0] }},
		{"platform", fixed("/platform")},
		{"platform's audit log", fixed("/platform/audit")},
	}
}

// ofFirst is any message of the first operator.
func (m manyMails) ofFirst() int {
	for {
		if n := rand.IntN(m.Messages); n/3%10 < 6 { // as Volume says
			return n
		}
	}
}

func TestPagesShowWhatThereIsOfALotOfMail(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			m := newManyMails(t, engine, 5000)
			findings, err := m.db.System.Audit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				if !strings.Contains(f.String(), "events") { // which it has none of
					t.Fatal(f)
				}
			}
			operator, staff := m.visitor(t, m.Operators[0], waypost.RoleViewer), m.visitor(t, "", waypost.RoleAuditor)
			number := m.ofFirst()
			for _, page := range m.pages() {
				operator.open(page.path(number))
			}
			for _, page := range m.platformPages() {
				staff.open(page.path(number))
			}
			operator.open("/messages?recipient=" + url.QueryEscape(m.Recipient(number))).wants(m.Recipient(number))
			operator.open("/messages/" + m.MessageID(number)).wants(m.Recipient(number))
			operator.open("/overview?period=30d").wants("3,140") // about six of ten, and two more of each fiftieth
		})
	}
}

// Figures: go test ./internal/panel -run '^$' -bench Pages -benchtime 30x -timeout 60m
// It writes ten million messages first, which takes some minutes and 20 GB.
func BenchmarkPagesOfALotOfMail(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			m := newManyMails(b, engine, *volume)
			operator, staff := m.visitor(b, m.Operators[0], waypost.RoleViewer), m.visitor(b, "", waypost.RoleAuditor)
			for _, page := range m.pages() {
				b.Run(page.name, func(b *testing.B) { measure(b, m, operator, page) })
			}
			for _, page := range m.platformPages() {
				b.Run(page.name, func(b *testing.B) { measure(b, m, staff, page) })
			}
		})
	}
}

// measure opens a page again and again: the first time may find nothing in memory.
func measure(b *testing.B, m manyMails, v *visitor, page pageOfMany) {
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		v.open(page.path(m.ofFirst()))
		took = append(took, time.Since(began))
	}
	first := took[0]
	slices.Sort(took)
	for unit, d := range map[string]time.Duration{"first-ms": first, "median-ms": took[len(took)/2], "max-ms": took[len(took)-1]} {
		b.ReportMetric(float64(d.Microseconds())/1000, unit)
	}
	b.ReportMetric(0, "ns/op")
}
