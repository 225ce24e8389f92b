package storetest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// book is a model of the deliveries: what state each has to be in.
type book struct {
	t        *rapid.T
	outer    *testing.T // for what needs no shrinking
	db       *storetest.DB
	other    *storetest.DB // a second node
	operator string
	now      time.Time
	state    map[string]waypost.State
	claimed  []waypost.Delivery // leases that may still be ours
	nodes    int
}

func (b *book) incarnation() string { return fmt.Sprintf("%s-%d", b.operator, b.nodes) }

func (b *book) node(t *rapid.T) *storetest.DB {
	if rapid.Bool().Draw(t, "node") {
		return b.other
	}
	return b.db
}

func (b *book) ids() []string {
	var ids []string
	for id := range b.state {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// move is what the model knows about states.
func (b *book) move(id string, to waypost.State) {
	if from := b.state[id]; from != to && !from.CanBecome(to) {
		b.t.Fatalf("%s went from %s to %s", id, from, to)
	}
	b.state[id] = to
}

func (b *book) accept(t *rapid.T) {
	m := storetest.Mail{
		OperatorID: b.operator, At: b.now,
		Kind: rapid.SampledFrom([]waypost.Kind{waypost.KindEvent, waypost.KindSecurity, waypost.KindTest}).Draw(t, "kind"),
		In:   time.Duration(rapid.IntRange(0, 2).Draw(t, "in")) * time.Minute,
		For:  time.Duration(rapid.IntRange(1, 10).Draw(t, "for")) * time.Hour,
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "recipients") {
		m.To = append(m.To, fmt.Sprintf("r%d@%s.test", i, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "site")))
	}
	if rapid.Bool().Draw(t, "handed over") {
		m.Lease, m.In = b.incarnation(), 0
	}
	a := m.Accepting()
	for i := range a.Deliveries {
		d := &a.Deliveries[i]
		if rapid.IntRange(0, 4).Draw(t, "suppressed") == 0 {
			d.State, d.Lease = waypost.Suppressed, ""
			a.Events = append(a.Events, waypost.Event{
				OperatorID: d.OperatorID, MessageID: d.MessageID, DeliveryID: d.ID, Type: waypost.EventSuppress,
				From: waypost.Queued, To: waypost.Suppressed, Count: 1, At: b.now,
			})
		} else if d.Lease != "" {
			b.claimed = append(b.claimed, *d)
		}
		b.state[d.ID] = d.State
	}
	if err := b.node(t).Store.Accept(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func (b *book) claim(t *rapid.T) {
	kind := rapid.SampledFrom([]waypost.Kind{waypost.KindEvent, waypost.KindSecurity}).Draw(t, "kind")
	claimed, err := b.node(t).System.Claim(t.Context(), system.Claim{
		Key:         system.Key{Lane: kind.Lane().Rank(), OperatorID: b.operator, Site: rapid.SampledFrom([]string{"a.test", "b.test"}).Draw(t, "site")},
		Incarnation: b.incarnation(), Limit: rapid.IntRange(1, 5).Draw(t, "limit"), Now: b.now, RetryAt: b.now.Add(time.Minute),
		Companions: rapid.Bool().Draw(t, "companions"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range claimed {
		if b.state[d.ID] != waypost.Queued {
			t.Fatalf("claimed %s, which is %s", d.ID, b.state[d.ID])
		}
	}
	b.claimed = append(b.claimed, claimed...)
}

func (b *book) finish(t *rapid.T) {
	if len(b.claimed) == 0 {
		t.Skip("nothing claimed")
	}
	i := rapid.IntRange(0, len(b.claimed)-1).Draw(t, "which")
	d := b.claimed[i]
	if rapid.IntRange(0, 9).Draw(t, "twice") > 0 { // else the same lease is finished again later
		b.claimed = slices.Delete(b.claimed, i, i+1)
	}
	f := result(d, rapid.SampledFrom([]waypost.State{
		waypost.Queued, waypost.Delivered, waypost.Bounced, waypost.Uncertain, waypost.Expired,
	}).Draw(t, "state"))
	f.At = b.now
	if f.State == waypost.Queued {
		f.NextAt = b.now.Add(time.Minute)
	}
	if err := b.node(t).System.FinishNow(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if !f.Lost {
		b.move(d.ID, f.Settled)
	}
}

func (b *book) control(t *rapid.T) {
	if len(b.state) == 0 {
		t.Skip("nothing accepted")
	}
	id := rapid.SampledFrom(b.ids()).Draw(t, "which")
	action := rapid.SampledFrom([]store.ControlAction{store.Retry, store.Cancel, store.Hold, store.Release}).Draw(t, "action")
	got, err := b.node(t).Store.Control(t.Context(), waypost.CommandLine(), b.operator, id, action, b.now)
	switch {
	case err == nil:
		b.move(id, got.Delivery.State)
	case waypost.KindOf(err) != waypost.Conflict:
		t.Fatal(err)
	}
}

func (b *book) controlAll(t *rapid.T) {
	action := rapid.SampledFrom([]store.ControlAction{store.Retry, store.Cancel, store.Hold, store.Release}).Draw(t, "action")
	_, _, _, err := b.node(t).System.ControlWhere(t.Context(), waypost.CommandLine(), system.Where{OperatorID: b.operator}, action, b.now)
	if err != nil {
		t.Fatal(err)
	}
	b.read(t)
}

// nodeDies takes the leases back; what was claimed can still try to finish.
func (b *book) nodeDies(t *rapid.T) {
	if _, err := b.node(t).System.Recover(t.Context(), b.incarnation(), b.now); err != nil {
		t.Fatal(err)
	}
	b.nodes++
	b.read(t)
}

func (b *book) timePasses(t *rapid.T) {
	b.now = b.now.Add(time.Duration(rapid.SampledFrom([]int{1, 60, 600}).Draw(t, "minutes")) * time.Minute)
	if _, err := b.node(t).System.Expire(t.Context(), b.now); err != nil {
		t.Fatal(err)
	}
	b.read(t)
}

func (b *book) retention(t *rapid.T) {
	keep := system.Retention{Content: time.Hour, Reports: time.Hour, Metadata: 12 * time.Hour}
	if _, err := b.node(t).System.Retention(t.Context(), b.now, keep); err != nil {
		t.Fatal(err)
	}
	for id := range b.state {
		if _, err := b.db.Store.Delivery(t.Context(), b.operator, id); waypost.KindOf(err) == waypost.NotFound && err != nil {
			if b.state[id] == waypost.Queued {
				t.Fatalf("a queued delivery was removed")
			}
			delete(b.state, id)
		}
	}
}

// read brings the model up to date after a step that concerns many.
func (b *book) read(t *rapid.T) {
	for id := range b.state {
		d, err := b.db.Store.Delivery(t.Context(), b.operator, id)
		if err != nil {
			t.Fatal(err)
		}
		b.move(id, d.State)
	}
}

// check is the law.
func (b *book) check(t *rapid.T) {
	findings, err := b.db.System.Audit(t.Context())
	if err != nil || len(findings) > 0 {
		t.Fatal(findings, err)
	}
	c, err := b.db.Store.Conservation(t.Context(), b.operator)
	if err != nil || !c.Balanced {
		t.Fatal(c, err)
	}
	var queued int64
	for id, want := range b.state {
		d, err := b.db.Store.Delivery(t.Context(), b.operator, id)
		if err != nil || d.State != want {
			t.Fatalf("%s is %s, want %s: %v", id, d.State, want, err)
		}
		if d.Lease != "" && d.State != waypost.Queued || d.Lease != "" && d.Held || d.Lease == "" && d.Control != "" {
			t.Fatalf("%+v", d)
		}
		if want == waypost.Queued {
			queued++
		}
	}
	if c.Queued != queued {
		t.Fatalf("%d queued, want %d", c.Queued, queued)
	}
	// Bodies are there as long as a message uses them, and security mail only while queued.
	if n := b.db.Int(b.outer, `SELECT COUNT(*) FROM body b WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.body_id = b.id)`); n != 0 {
		t.Fatalf("%d bodies nobody uses", n)
	}
	if n := b.db.Int(b.outer, `SELECT COUNT(*) FROM message m WHERE m.kind = 'security' AND (m.erased = 0)
  <> EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = m.id AND d.state = 'queued')
  AND EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = m.id AND d.state NOT IN ('queued', 'suppressed'))`); n != 0 {
		t.Fatalf("%d security mails kept too long or erased too early", n)
	}
}

func TestConservationHoldsWhateverHappens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		other := db
		if db.Name == "postgres" {
			other = db.Node(t, "node-b")
		}
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			b := &book{
				t: rt, outer: t, db: db, other: other, operator: fmt.Sprint("op", round), now: storetest.Now(), state: map[string]waypost.State{},
			}
			rt.Repeat(map[string]func(*rapid.T){
				"accept":     b.accept,
				"accept too": b.accept,
				"claim":      b.claim,
				"finish":     b.finish,
				"finish too": b.finish,
				"control":    b.control,
				"bulk":       b.controlAll,
				"death":      b.nodeDies,
				"time":       b.timePasses,
				"retention":  b.retention,
			})
			b.check(rt)
		})
	})
}

func TestAuditFindsEachSingleCorruption(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		long := storetest.Now().Add(-day(100))
		for _, state := range []waypost.State{waypost.Delivered, waypost.Bounced, waypost.Expired, waypost.Cancelled, waypost.Uncertain} {
			finish(t, db, result(acceptLeased(t, db, storetest.Mail{})[0], state))
			finish(t, db, result(acceptLeased(t, db, storetest.Mail{At: long, For: day(200)})[0], state))
		}
		retain(t, db, storetest.Now())
		delivered := acceptLeased(t, db, storetest.Mail{})[0]
		finish(t, db, result(delivered, waypost.Delivered))
		queued := accept(t, db, storetest.Mail{}).Deliveries[0]
		auditClean(t, db)
		check := func(what, do, undo string) {
			t.Helper()
			db.Exec(t, do)
			findings, err := db.System.Audit(t.Context())
			if err != nil || len(findings) == 0 {
				t.Errorf("%s: not found, %v", what, err)
			}
			for _, f := range findings {
				if f.OperatorID != "op" || f.Want == f.Got || !strings.Contains(f.String(), f.What) {
					t.Errorf("%s: %+v", what, f)
				}
			}
			db.Exec(t, undo)
			auditClean(t, db)
		}
		for _, table := range []string{"counter", "retired"} {
			columns := []string{"delivered", "bounced", "expired", "cancelled", "suppressed", "uncertain"}
			if table == "counter" {
				columns = append(columns, "accepted")
			}
			for _, c := range columns {
				for _, sign := range []string{"+", "-"} {
					back := map[string]string{"+": "-", "-": "+"}[sign]
					check(table+" "+c+sign, fmt.Sprintf("UPDATE %s SET %s = %s %s 1", table, c, c, sign),
						fmt.Sprintf("UPDATE %s SET %s = %s %s 1", table, c, c, back))
				}
			}
		}
		row := func(set string) string { return "UPDATE delivery SET " + set + " WHERE id = '" + delivered.ID + "'" }
		check("state of a row", row("state = 'bounced'"), row("state = 'delivered'"))
		check("queued again", row("state = 'queued'"), row("state = 'delivered'"))
		event := func(set, to string) string {
			return "UPDATE event SET " + set + " WHERE message_id = '" + delivered.MessageID + "' AND to_state = '" + to + "'"
		}
		check("count of an accepted event", event("count = 2", "queued"), event("count = 1", "queued"))
		check("state of an event", event("to_state = 'uncertain'", "delivered"), event("to_state = 'delivered'", "uncertain"))
		// A row of each sort is lost once and doubled once.
		n := 0
		for _, c := range []struct{ table, where, other string }{
			{"delivery", "id = '" + queued.ID + "'", "id = 'double'"},
			{"delivery", "id = '" + delivered.ID + "'", "id = 'double'"},
			{"event", "message_id = '" + queued.MessageID + "'", "id = 'double'"},
			{"event", "message_id = '" + delivered.MessageID + "' AND to_state = 'delivered'", "id = 'double'"},
		} {
			n++
			kept := fmt.Sprint("kept", n)
			db.Exec(t, "CREATE TABLE "+kept+" AS SELECT * FROM "+c.table+" WHERE "+c.where)
			back := "INSERT INTO " + c.table + " SELECT * FROM " + kept
			check("lost "+c.table, "DELETE FROM "+c.table+" WHERE "+c.where, back)
			db.Exec(t, "UPDATE "+kept+" SET "+c.other)
			check("doubled "+c.table, back+" WHERE TRUE", "DELETE FROM "+c.table+" WHERE "+c.other)
		}
	})
}
