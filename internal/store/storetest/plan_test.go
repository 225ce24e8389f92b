package storetest_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// recorder keeps the statements that run while it is on.
type recorder struct {
	mu   sync.Mutex
	on   bool
	seen []statement
}

type statement struct {
	text string
	args []any
}

func (r *recorder) trace(query string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on && !strings.HasPrefix(query, "BEGIN") && query != "COMMIT" {
		r.seen = append(r.seen, statement{query, slices.Clone(args)})
	}
}

// during returns the statements that run while do does.
func (r *recorder) during(do func()) []statement {
	r.mu.Lock()
	r.on, r.seen = true, nil
	r.mu.Unlock()
	do()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = false
	return r.seen
}

// explain returns the steps of a statement's plan that touch tables.
func explain(t *testing.T, conn *sql.Conn, s statement, postgres bool) []string {
	t.Helper()
	prefix := "EXPLAIN QUERY PLAN "
	if postgres {
		prefix = "EXPLAIN "
	}
	rows, err := conn.QueryContext(t.Context(), prefix+s.text, s.args...)
	if err != nil {
		t.Fatalf("%s: %v", s.text, err)
	}
	var steps []string
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var a, b, c, text any
		if postgres {
			err := rows.Scan(&text)
			steps = append(steps, strings.TrimSpace(text.(string)))
			return err
		}
		err := rows.Scan(&a, &b, &c, &text)
		steps = append(steps, text.(string))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// Tables that grow with the mail: nothing but the audit may read all of one.
var reFullScan = regexp.MustCompile(`^(?:SCAN|.*Seq Scan on) (message|m|body|b|delivery|d|attempt|a|event|idempotency|i|sandbox|s|suppression)\b`)

// These hold a part of the queue only, so reading one from its beginning is fine.
var rePartial = regexp.MustCompile(`INDEX delivery_(due|expiry|lease|held)$`)

func TestHotStatementsUseTheirIndexes(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			url := filepath.Join(t.TempDir(), "waypost.db")
			if name == "postgres" {
				url = storetest.PostgresURL(t)
			}
			rec := &recorder{}
			e, err := engine.Open(t.Context(), engine.Options{URL: url, Trace: rec.trace})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			s := store.New(e, "node-a")
			fill(t, s)
			checkPlans(t, s, system.New(s), rec, planConn(t, url))
		})
	}
}

// fill gives the planner something to think about: the mail of a hundred operators,
// most of it delivered.
func fill(t *testing.T, s *store.Store) {
	t.Helper()
	all := storetest.Mail{}.Accepting()
	for i := range 4000 {
		operator := "op" // half of it is this one's
		if i%2 == 0 {
			operator = fmt.Sprint("op", i%100)
		}
		one := storetest.Mail{
			OperatorID: operator, To: []string{fmt.Sprintf("user%d@site%d.test", i, i%50), "other@example.test"},
			Kind: []waypost.Kind{waypost.KindEvent, waypost.KindSecurity, waypost.KindReport}[i%3], At: all.At.Add(-time.Duration(i) * time.Minute),
			In: 2 * time.Hour,
		}.Accepting()
		if i%5 == 0 {
			one.Messages[0].BatchID = fmt.Sprint("batch", i/50)
		}
		for j := range one.Deliveries {
			switch d := &one.Deliveries[j]; {
			case i%20 > 3:
				d.State = waypost.Delivered
			case i%20 == 1:
				d.State = waypost.Bounced
			case i%100 == 3:
				d.Lease = fmt.Sprint("node", i%3)
			}
		}
		all.Messages = append(all.Messages, one.Messages...)
		all.Bodies = append(all.Bodies, one.Bodies...)
		all.Deliveries = append(all.Deliveries, one.Deliveries...)
	}
	if err := s.Accept(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// planConn is a connection on which PostgreSQL takes an index wherever there is one,
// however small the tables are.
func planConn(t *testing.T, url string) *sql.Conn {
	t.Helper()
	driver := "sqlite"
	if engine.IsPostgres(url) {
		driver = "pgx"
		_ = stdlib.GetDefaultDriver() // registers it
	}
	pool, err := sql.Open(driver, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if driver == "pgx" {
		for _, set := range []string{"SET enable_seqscan = off", "SET enable_bitmapscan = off", "ANALYZE"} {
			if _, err := conn.ExecContext(t.Context(), set); err != nil {
				t.Fatal(err)
			}
		}
	}
	return conn
}

func checkPlans(t *testing.T, s *store.Store, y *system.System, rec *recorder, conn *sql.Conn) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil && waypost.KindOf(err) != waypost.NotFound && waypost.KindOf(err) != waypost.Conflict &&
			waypost.KindOf(err) != waypost.Forbidden {
			t.Fatal(err)
		}
	}
	must(y.InitInstance(ctx, "k"))
	a := storetest.Mail{Lease: "me", Kind: waypost.KindSecurity, To: []string{"a@example.test", "b@example.test"}, Key: "k"}.Accepting()
	must(s.Accept(ctx, a))
	now := storetest.Now()
	key := keyOf(a.Deliveries[0])
	find := func(f store.MessageFilter) func() {
		return func() { _, err := s.Messages(ctx, "op", f); must(err) }
	}
	queue := func(state system.QueueState) func() {
		return func() { _, _, err := y.QueueList(ctx, system.QueueFilter{State: state}, "", 10); must(err) }
	}
	filtered := func(f system.QueueFilter) func() {
		return func() { _, _, err := y.QueueList(ctx, f, "", 10); must(err) }
	}
	_, err := y.CreateOperator(ctx, waypost.CommandLine(), waypost.Operator{ID: "op1", Name: "One", Product: waypost.ProductCloud})
	must(err)
	for _, c := range []struct {
		what string
		do   func()
		want string // an index that has to appear, "" if none in particular; after a bar one that PostgreSQL may find better
	}{
		{"accept", func() { must(s.Accept(ctx, storetest.Mail{Key: "k2"}.Accepting())) }, ""},
		{"claim", func() {
			_, err := y.Claim(ctx, system.Claim{Key: key, Incarnation: "me", Limit: 5, Now: now, RetryAt: now, Companions: true})
			must(err)
		}, "delivery_due"},
		{"claim with companions", func() {
			must(s.Accept(ctx, storetest.Mail{Kind: waypost.KindSecurity}.Accepting()))
			_, err := y.Claim(ctx, system.Claim{Key: key, Incarnation: "me", Limit: 5, Now: storetest.Now(), RetryAt: now, Companions: true})
			must(err)
		}, "delivery_message"},
		{"finish", func() { must(y.FinishNow(ctx, result(a.Deliveries[0], waypost.Delivered))) }, ""},
		{"finish of the last", func() { must(y.FinishNow(ctx, result(a.Deliveries[1], waypost.Delivered))) }, "delivery_message"},
		{"due", func() { _, err := y.Due(ctx, system.Key{}, 5); must(err) }, "delivery_due"},
		{"next due", func() { _, err := y.NextDue(ctx, key); must(err) }, "delivery_due"},
		{"expire", func() { _, err := y.Expire(ctx, now); must(err) }, "delivery_expiry"},
		{"recover", func() { _, err := y.Recover(ctx, "me", now); must(err) }, "delivery_lease"},
		{"leased", func() { _, err := y.Leased(ctx, "me"); must(err) }, "delivery_lease"},
		{"orphans", func() { _, err := y.Orphans(ctx); must(err) }, "delivery_lease"},
		{"controls", func() { _, err := y.Controls(ctx, "me"); must(err) }, "delivery_control"},
		{"control", func() {
			_, err := s.Control(ctx, waypost.CommandLine(), "op", a.Deliveries[0].ID, store.Retry, now)
			must(err)
		}, ""},
		{"mail", func() { _, err := y.Mail(ctx, a.Messages[0].ID); must(err) }, ""},
		{"sent by", func() { _, err := y.SentBy(ctx, a.Messages[0].ID, "x", "a"); must(err) }, "delivery_message"},
		{"message", func() { _, err := s.Message(ctx, "op", a.Messages[0].ID); must(err) }, "delivery_message"},
		{"batch", func() { _, err := s.Message(ctx, "op", "a batch"); must(err) }, "message_batch"},
		{"waiting", func() { _, err := s.Waiting(ctx, "op", []string{a.Messages[0].ID, "x"}); must(err) }, "delivery_message"},
		{"content", func() { _, _, err := s.Content(ctx, "op", a.Messages[0].ID); must(err) }, ""},
		{"attempts", func() { _, err := s.Attempts(ctx, "op", a.Messages[0].ID); must(err) }, "delivery_message"},
		{"feedback", func() { _, err := s.Feedback(ctx, "op", a.Messages[0].ID); must(err) }, "delivery_message"},
		{"events", func() { _, err := s.Events(ctx, "op", a.Messages[0].ID); must(err) }, ""},
		{"idempotency", func() { _, err := s.FindIdempotency(ctx, "op", "k"); must(err) }, ""},
		{"conservation", func() { _, err := s.Conservation(ctx, "op"); must(err) }, "delivery_due|using delivery_expiry"},
		{"suppressions", func() { _, err := s.SuppressionsFor(ctx, "op", []string{"a", "b"}); must(err) }, ""},
		{"newest", find(store.MessageFilter{}), "message_operator|message_pkey"},
		{"recipient", find(store.MessageFilter{Recipient: "a@example.test"}), "delivery_address"},
		{"prefix", find(store.MessageFilter{Recipient: "a*"}), "delivery_address"},
		{"domain", find(store.MessageFilter{Recipient: "@site7.test", From: now.Add(-time.Hour), To: now}), "delivery_site"},
		{"state", find(store.MessageFilter{State: waypost.Bounced}), "delivery_trouble"},
		{"queued", find(store.MessageFilter{State: waypost.Queued}), "delivery_due"},
		{"queued and held", find(store.MessageFilter{State: waypost.Queued, From: now.Add(-time.Hour)}), "delivery_held"},
		{"batch search", find(store.MessageFilter{BatchID: "b"}), "message_batch"},
		{"queue", queue(""), "delivery_expiry"},
		{"queue, leased", queue(system.QueueLeased), "delivery_lease"},
		{"queue, held", queue(system.QueueHeld), "delivery_held"},
		{"queue of an operator", filtered(system.QueueFilter{OperatorID: "op"}), "delivery_due"},
		{"queue to a domain", filtered(system.QueueFilter{Domain: "site7.test"}), "delivery_due"},
		{"backlogs", func() { _, _, err := y.Backlogs(ctx, system.QueueFilter{}, "", 10); must(err) }, "delivery_due"},
		{"backlogs to a domain", func() { _, _, err := y.Backlogs(ctx, system.QueueFilter{Domain: "site7.test"}, "", 10); must(err) }, "delivery_due"},
		{"standing", func() { _, err := s.Standing(ctx, "op"); must(err) }, "delivery_due|using delivery_expiry"},
		{"leased of an operator", func() { _, err := s.Standing(ctx, "op"); must(err) }, "delivery_lease"},
		{"leased of an operator, counted", func() { _, err := s.Conservation(ctx, "op"); must(err) }, "delivery_lease"},
		{"delays", func() { _, err := s.Delays(ctx, "op"); must(err) }, "delivery_message"},
		{"held", func() { _, err := y.Held(ctx, "op"); must(err) }, "delivery_held"},
		{"removal", func() {
			must(y.RemoveOperator(ctx, waypost.CommandLine(), "op1", now))
			_, err := y.RemoveSome(ctx, now)
			must(err)
		}, ""},
		{"queue depth", func() { _, err := y.QueueDepth(ctx); must(err) }, "delivery_due"},
		{"retention", func() { _, err := y.Retention(ctx, now.Add(day(8)), usualRetention()); must(err) }, "message_erase"},
		{"retirement", func() { _, err := y.Retention(ctx, now.Add(day(100)), usualRetention()); must(err) }, "delivery_message"},
		{"purge", func() { _, err := y.Retention(ctx, now.Add(day(100)), usualRetention()); must(err) }, "suppression_expires"},
		{"sandbox of one", func() { _, _, err := y.SandboxAll(ctx, "op", "", 5); must(err) }, "sandbox_operator"},
		{"sandbox", func() { _, _, err := s.SandboxList(ctx, "op", "", 5); must(err) }, "sandbox_operator"},
	} {
		seen := rec.during(c.do)
		if len(seen) == 0 {
			t.Errorf("%s: no statement", c.what)
		}
		used := c.want == ""
		for _, st := range seen {
			for _, step := range explain(t, conn, st, s.Engine().Dialect.Name == "postgres") {
				if reFullScan.MatchString(step) && !rePartial.MatchString(step) {
					t.Errorf("%s: %s\n%s", c.what, step, st.text)
				}
				for want := range strings.SplitSeq(c.want, "|") {
					used = used || strings.Contains(step, want)
				}
			}
		}
		if !used {
			t.Errorf("%s: index %s is not used", c.what, c.want)
			for _, st := range seen {
				t.Log(st.text, "\n\t", strings.Join(explain(t, conn, st, s.Engine().Dialect.Name == "postgres"), "\n\t"))
			}
		}
	}
}
