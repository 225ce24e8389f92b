package storetest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func TestTheRollUpOfAllIsTheSumOfEach(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		from, to := now.Add(-50*time.Hour), now.Add(time.Hour)
		var sum store.Counts
		for i, operator := range []string{"a", "b", "c"} {
			for j := range i + 1 {
				for _, d := range acceptLeased(t, db, storetest.Mail{OperatorID: operator, At: now.Add(-time.Duration(j) * 20 * time.Hour), To: []string{"x@x.test", "y@y.test"}}) {
					finish(t, db, result(d, waypost.FinalStates()[j]))
				}
			}
			hours, err := db.Store.Rollup(ctx, operator, from, to)
			if err != nil || len(hours) == 0 {
				t.Fatal(hours, err)
			}
			for _, h := range hours {
				sum.Add(h.Counts)
			}
		}
		all := conservationOfAll(t, db)
		hours, err := db.Store.Rollup(ctx, store.AllOperators, from, to)
		if err != nil {
			t.Fatal(err)
		}
		var got store.Counts
		for _, h := range hours {
			got.Add(h.Counts)
		}
		if diff := cmp.Diff(sum, got); diff != "" || all.Accepted == 0 {
			t.Error(diff)
		}
		totals, err := db.System.AllTotals(ctx)
		if diff := cmp.Diff(sum, totals); diff != "" || err != nil {
			t.Error(diff, err)
		}
		traffic, err := db.System.Traffic(ctx, []string{"a", "c", "nobody"}, now.Add(-25*time.Hour))
		if err != nil || len(traffic) != 2 || traffic["a"].Accepted != 2 || traffic["c"].Accepted != 4 || traffic["c"].Delivered != 2 {
			t.Error(traffic, err)
		}
		if traffic, err := db.System.Traffic(ctx, nil, now); err != nil || len(traffic) != 0 {
			t.Error(traffic, err)
		}
	})
}

func TestHowTheQueueOfAnOperatorStands(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		stands := func() store.Standing {
			t.Helper()
			s, err := db.Store.Standing(ctx, "op")
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := stands(); s != (store.Standing{}) {
			t.Errorf("%+v", s)
		}
		accept(t, db, storetest.Mail{OperatorID: "other", At: now.Add(-day(1))})
		accept(t, db, storetest.Mail{At: now.Add(-time.Hour), Kind: waypost.KindReport, In: 5 * time.Hour})
		if s := stands(); !s.Oldest.Equal(now.Add(-time.Hour)) || s.Held != 0 || s.Sampled {
			t.Errorf("%+v", s)
		}
		acceptLeased(t, db, storetest.Mail{At: now.Add(-2 * time.Hour)})
		if s := stands(); !s.Oldest.Equal(now.Add(-2 * time.Hour)) {
			t.Errorf("leased: %+v", s)
		}
		held := accept(t, db, storetest.Mail{At: now.Add(-3 * time.Hour)}).Deliveries[0]
		if _, err := db.Store.Control(ctx, waypost.CommandLine(), "op", held.ID, store.Hold, now); err != nil {
			t.Fatal(err)
		}
		if s := stands(); !s.Oldest.Equal(now.Add(-3*time.Hour)) || s.Held != 1 || s.MoreHeld {
			t.Errorf("held: %+v", s)
		}
		var to []string
		for i := range 1001 {
			to = append(to, fmt.Sprintf("r%d@example.test", i))
		}
		many := accept(t, db, storetest.Mail{To: to})
		if s := stands(); !s.Sampled {
			t.Errorf("many: %+v", s)
		}
		if _, _, _, err := db.System.ControlWhere(ctx, waypost.CommandLine(), system.Where{OperatorID: "op", Domain: many.Deliveries[0].Site}, store.Hold, now); err != nil {
			t.Fatal(err)
		}
		if s := stands(); s.Held != 1000 || !s.MoreHeld {
			t.Errorf("many held: %+v", s)
		}
		for operator, want := range map[string]int64{"op": system.HeldBound, "": system.HeldBound, "other": 0} {
			if n, err := db.System.Held(ctx, operator); n != want || err != nil {
				t.Errorf("%q: %d held, %v", operator, n, err)
			}
		}
		sizes, err := db.System.QueueSizes(ctx, 10)
		want := []waypost.QueueSize{{OperatorID: "op", Queued: 1004}, {OperatorID: "other", Queued: 1}}
		if diff := cmp.Diff(want, sizes); diff != "" || err != nil {
			t.Error(diff, err)
		}
		totals, err := db.Store.Totals(ctx, "op")
		c := conservation(t, db, "op")
		if totals != c.Counts || totals.Accepted-totals.Final() != c.Queued || err != nil {
			t.Errorf("%+v, %+v, %v", totals, c, err)
		}
	})
}

func TestHowLongDeliveriesTook(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		done := func(m storetest.Mail, sendIn, took time.Duration, state waypost.State) {
			a := m.Accepting()
			a.Messages[0].SendAt = time.Time{}
			if sendIn > 0 {
				a.Messages[0].SendAt = m.At.Add(sendIn)
			}
			if err := db.Store.Accept(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			f := result(a.Deliveries[0], state)
			f.At = m.At.Add(took)
			finish(t, db, f)
		}
		done(storetest.Mail{At: now, Lease: "me"}, 0, 1500*time.Millisecond, waypost.Delivered)
		done(storetest.Mail{At: now, Lease: "me"}, time.Minute, time.Minute+300*time.Millisecond, waypost.Delivered)
		done(storetest.Mail{At: now, Lease: "me"}, 0, time.Hour, waypost.Bounced)
		done(storetest.Mail{At: now, Lease: "me", OperatorID: "other"}, 0, time.Hour, waypost.Delivered)
		got, err := db.Store.Delays(t.Context(), "op")
		slices.Sort(got)
		if diff := cmp.Diff([]time.Duration{300 * time.Millisecond, 1500 * time.Millisecond}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

// mixed fills the queue of some operators with mail in every lane and state.
func mixed(t *testing.T, db *storetest.DB) (waiting []waypost.Delivery) {
	t.Helper()
	now := storetest.Now()
	kinds := []waypost.Kind{waypost.KindSecurity, waypost.KindEvent, waypost.KindReport}
	for i := range 90 {
		m := storetest.Mail{
			OperatorID: fmt.Sprint("op", i%4), Kind: kinds[i%3], To: []string{fmt.Sprintf("a@s%d.test", i%5), fmt.Sprintf("b@s%d.test", i%7)},
			At: now.Add(-time.Duration(i) * time.Minute), In: time.Duration(i%3) * time.Hour,
		}
		for _, d := range accept(t, db, m).Deliveries {
			switch i % 10 {
			case 7:
				if _, err := db.Store.Control(t.Context(), waypost.CommandLine(), d.OperatorID, d.ID, store.Hold, now); err != nil {
					t.Fatal(err)
				}
			case 8:
				db.Exec(t, "UPDATE delivery SET attempts = 1, reason = 'busy' WHERE id = $1", d.ID)
				d.Attempts, d.Reason = 1, "busy"
				waiting = append(waiting, d)
			case 9:
				claim(t, db, system.Claim{Key: keyOf(d), Limit: 1, Now: now.Add(day(2))})
			default:
				waiting = append(waiting, d)
			}
		}
	}
	// Claims took what was due first.
	leased := map[string]bool{}
	list, err := db.System.Leased(t.Context(), "me")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		leased[d.ID] = true
	}
	return slices.DeleteFunc(waiting, func(d waypost.Delivery) bool { return leased[d.ID] })
}

func TestBacklogsByOperatorAndSite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		rows := rawRows
		mixed(t, db)
		all := rows(t, db, `SELECT operator_id, site, COUNT(*), MIN(next_at) FROM delivery WHERE state = 'queued' AND lease = '' AND NOT held
GROUP BY operator_id, site ORDER BY operator_id, site`)
		for _, f := range []waypost.QueueFilter{
			{},
			{OperatorID: "op2"},
			{OperatorID: "nobody"},
			{Domain: "s3.test"},
			{Domain: "S3.Test"},
			{Domain: "a.test"},
			{Domain: "z.test"},
			{OperatorID: "op1", Domain: "s4.test"},
			{Domain: "s0.test"},
			{Domain: "s6.test"},
		} {
			var want []string
			for _, line := range all {
				cells := strings.Split(line, "|")
				if (f.OperatorID == "" || cells[0] == f.OperatorID) && (f.Domain == "" || cells[1] == strings.ToLower(f.Domain)) {
					want = append(want, line)
				}
			}
			for _, limit := range []int{1, 2, 7, 100} {
				var got []string
				for cursor := ""; ; {
					list, next, err := db.System.Backlogs(t.Context(), f, cursor, limit)
					if err != nil || len(list) > limit {
						t.Fatal(len(list), err)
					}
					for _, b := range list {
						got = append(got, fmt.Sprintf("%s|%s|%d|%d", b.OperatorID, b.Site, b.Waiting, waypost.Millis(b.Next)))
						if b.More || b.Oldest.IsZero() {
							t.Errorf("%+v", b)
						}
					}
					if next == "" {
						break
					}
					cursor = next
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%+v by %d: %s", f, limit, diff)
				}
			}
		}
	})
}

func TestABacklogTellsHowOldItIsAndWhy(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		accept(t, db, storetest.Mail{At: now.Add(-2 * time.Hour), Kind: waypost.KindReport, In: 3 * time.Hour})
		d := acceptLeased(t, db, storetest.Mail{At: now.Add(-3 * time.Hour)})[0]
		f := result(d, waypost.Queued)
		f.Reason, f.NextAt = "421 busy", now.Add(time.Minute)
		finish(t, db, f)
		list, _, err := db.System.Backlogs(t.Context(), waypost.QueueFilter{}, "", 10)
		want := []waypost.Backlog{{
			OperatorID: "op", Site: "example.test", Waiting: 2, Oldest: now.Add(-3 * time.Hour), Next: now.Add(time.Minute), Reason: "421 busy",
		}}
		if diff := cmp.Diff(want, list); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if list, _, err := db.System.Backlogs(t.Context(), waypost.QueueFilter{Lane: waypost.LaneReport}, "", 10); err != nil || list[0].Waiting != 1 || list[0].Reason != "" {
			t.Error(list, err)
		}
		var to []string
		for i := range 1000 {
			to = append(to, fmt.Sprintf("r%d@example.test", i))
		}
		accept(t, db, storetest.Mail{To: to})
		if list, _, err := db.System.Backlogs(t.Context(), waypost.QueueFilter{}, "", 10); err != nil || list[0].Waiting != 1001 || !list[0].More {
			t.Error(list, err)
		}
	})
}

func TestTheQueueOfAnOperatorOrADomainIsListedPageByPage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		mixed(t, db)
		for _, f := range []waypost.QueueFilter{
			{},
			{OperatorID: "op2"},
			{Domain: "s3.test"},
			{OperatorID: "op1", Domain: "s1.test"},
			{OperatorID: "op1", Lane: waypost.LaneReport},
			{OperatorID: "op2", State: waypost.QueueDeferred},
			{Domain: "s3.test", State: waypost.QueueScheduled},
			{OperatorID: "op3", State: waypost.QueueHeld},
			{Domain: "s2.test", State: waypost.QueueLeased},
			{OperatorID: "nobody"},
			{Domain: "zz.test"},
		} {
			cond := "state = 'queued'"
			for _, c := range []struct {
				on   bool
				text string
			}{
				{f.OperatorID != "", "operator_id = '" + f.OperatorID + "'"},
				{f.Domain != "", "site = '" + f.Domain + "'"},
				{f.Lane != "", fmt.Sprint("lane = ", f.Lane.Rank())},
				{f.State == waypost.QueueLeased, "lease <> ''"},
				{f.State == waypost.QueueHeld, "held"},
				{f.State == waypost.QueueDeferred, "lease = '' AND NOT held AND attempts > 0"},
				{f.State == waypost.QueueScheduled, "lease = '' AND NOT held AND attempts = 0"},
			} {
				if c.on {
					cond += " AND " + c.text
				}
			}
			want := rawRows(t, db, "SELECT id FROM delivery WHERE "+cond+" ORDER BY id")
			for _, limit := range []int{1, 2, 3, 10, 1000} {
				var got []string
				pages := 0
				for cursor := ""; ; pages++ {
					list, next, err := db.System.QueueList(t.Context(), f, cursor, limit)
					if err != nil || len(list) > limit || pages > 500 {
						t.Fatal(len(list), err)
					}
					for _, d := range list {
						got = append(got, d.ID)
					}
					if next == "" {
						break
					}
					cursor = next
				}
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%+v by %d: %s", f, limit, diff)
				}
			}
		}
		for _, f := range []waypost.QueueFilter{{}, {OperatorID: "op2"}} {
			for _, cursor := range []string{"waiting|x|y", "key|x", "key|x|a|b|c|d", "key|1|a|b|c|d"} {
				if _, _, err := db.System.QueueList(t.Context(), f, cursor, 10); err != nil && waypost.KindOf(err) != waypost.Invalid {
					t.Errorf("%s: %v", cursor, err)
				}
			}
		}
	})
}

func TestOperatorsAreFoundByNameAndTrouble(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, by := t.Context(), waypost.CommandLine()
		created := storetest.Now().Add(-time.Hour)
		create := func(name string, product waypost.Product, parent string) string {
			t.Helper()
			created = created.Add(time.Minute)
			o, err := db.System.CreateOperator(ctx, by, waypost.Operator{Name: name, Product: product, ParentID: parent, Created: created})
			if err != nil {
				t.Fatal(err)
			}
			return o.ID
		}
		acme := create("Acme Ñandú", waypost.ProductServermate, "")
		bolt := create("Bolt", waypost.ProductCloud, acme)
		calm := create("Calm", waypost.ProductServermate, "")
		down := create("Down", waypost.ProductServermate, "")
		if err := db.Store.SaveEmailSettings(ctx, by, down, store.EmailSettings{
			Gateway: waypost.GatewaySMTP, Relay: &store.StoredRelay{Relay: waypost.Relay{Host: "h", Port: 25}},
		}); err != nil {
			t.Fatal(err)
		}
		since := storetest.Now()
		if err := db.System.SetRelayHealth(ctx, waypost.RelayHealth{OperatorID: down, FailingSince: since, Reason: "535 no", NextProbe: since}); err != nil {
			t.Fatal(err)
		}
		if err := db.Store.SaveOperator(ctx, by, calm, func(o *waypost.Operator) error { o.Suspended, o.PerMinute = true, 30; return nil }); err != nil {
			t.Fatal(err)
		}
		find := func(f waypost.OperatorFilter, limit int) []string {
			t.Helper()
			var names []string
			for cursor := ""; ; {
				list, next, err := db.System.FindOperators(ctx, f, cursor, limit)
				if err != nil || len(list) > limit {
					t.Fatal(list, err)
				}
				for _, o := range list {
					names = append(names, o.Name)
				}
				if next == "" {
					return names
				}
				cursor = next
			}
		}
		for _, c := range []struct {
			f    waypost.OperatorFilter
			want []string
		}{
			{waypost.OperatorFilter{}, []string{"Down", "Calm", "Bolt", "Acme Ñandú"}},
			{waypost.OperatorFilter{Name: "ñANDÚ"}, []string{"Acme Ñandú"}},
			{waypost.OperatorFilter{Name: bolt}, []string{"Bolt"}},
			{waypost.OperatorFilter{Name: "%"}, nil},
			{waypost.OperatorFilter{ParentID: acme}, []string{"Bolt"}},
			{waypost.OperatorFilter{Trouble: waypost.TroubleSuspended}, []string{"Calm"}},
			{waypost.OperatorFilter{Trouble: waypost.TroubleFailing}, []string{"Down"}},
			{waypost.OperatorFilter{Trouble: waypost.TroubleGateway}, []string{"Bolt"}},
		} {
			for _, limit := range []int{1, 2, 4, 50} {
				if diff := cmp.Diff(c.want, find(c.f, limit)); diff != "" {
					t.Errorf("%+v by %d: %s", c.f, limit, diff)
				}
			}
		}
		list, _, err := db.System.FindOperators(ctx, waypost.OperatorFilter{}, "", 10)
		if err != nil || list[2].ParentName != "Acme Ñandú" || list[1].PerMinute != 30 || !list[1].Suspended || list[0].FailingWhy != "535 no" || !list[0].FailingSince.Equal(since) {
			t.Errorf("%+v, %v", list, err)
		}
		// What a product loses is a trouble of those that use it.
		if err := db.System.SaveEntitlements(ctx, by, []waypost.Entitlement{{Product: waypost.ProductServermate, Gateway: waypost.GatewayBuiltin}}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"Calm", "Bolt", "Acme Ñandú"}, find(waypost.OperatorFilter{Trouble: waypost.TroubleGateway}, 10)); diff != "" {
			t.Error(diff)
		}
		names, err := db.System.OperatorNames(ctx, []string{acme, bolt, "nobody"})
		if diff := cmp.Diff(map[string]string{acme: "Acme Ñandú", bolt: "Bolt"}, names); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

func TestEntitlementsAreChangedAndRecorded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, by := t.Context(), waypost.CommandLine()
		before, err := db.System.Entitlements(ctx)
		if err != nil || len(before) != 6 {
			t.Fatal(before, err)
		}
		if err := db.System.SaveEntitlements(ctx, by, before); err != nil {
			t.Fatal(err)
		}
		if log := actions(t, db, waypost.PlatformOperatorID); len(log) != 0 {
			t.Errorf("nothing was changed, and yet %v", log)
		}
		number := change(t, db)
		cloud := []waypost.Entitlement{
			{Product: waypost.ProductCloud, Gateway: waypost.GatewayBuiltin, Allowed: true},
			{Product: waypost.ProductCloud, Gateway: waypost.GatewaySMTP, Allowed: true, Initial: true},
		}
		if err := db.System.SaveEntitlements(ctx, by, cloud); err != nil {
			t.Fatal(err)
		}
		if change(t, db) == number {
			t.Error("no process notices")
		}
		if o := newOperator(t, db, waypost.ProductCloud); o.Gateway != waypost.GatewaySMTP {
			t.Errorf("starts with %q", o.Gateway)
		}
		log := actions(t, db, waypost.PlatformOperatorID)
		if diff := cmp.Diff([]string{"cli entitlement.change cloud, builtin", "cli entitlement.change cloud, smtp"}, log); diff != "" {
			t.Error(diff)
		}
		// Whatever was asked for, what results has to make sense.
		for _, wrong := range [][]waypost.Entitlement{
			{{Product: waypost.ProductCloud, Gateway: waypost.GatewayBuiltin, Initial: true}},
			{{Product: waypost.ProductCloud, Gateway: waypost.GatewayBuiltin, Allowed: true, Initial: true}},
		} {
			wantKind(t, db.System.SaveEntitlements(ctx, by, wrong), waypost.Invalid)
		}
		if n := len(actions(t, db, waypost.PlatformOperatorID)); n != 2 {
			t.Errorf("%d entries", n)
		}
	})
}

func TestThePlatformsSettingsAreKeptBySectionAndRecorded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		was, err := db.Store.PlatformSettings(ctx)
		if err != nil || was != waypost.DefaultPlatformSettings() {
			t.Fatalf("%+v, %v", was, err)
		}
		before, err := db.System.Change(ctx)
		if err != nil {
			t.Fatal(err)
		}
		by := waypost.Actor{ID: "user:owner"}
		change := func(f func(*waypost.PlatformSettings)) error {
			_, err := db.System.ChangePlatformSettings(ctx, by, func(p *waypost.PlatformSettings) error { f(p); return nil })
			return err
		}
		if err := change(func(p *waypost.PlatformSettings) {
			p.Suppression.Hard, p.ReturnPath.Courtesy = 48*time.Hour, "Nobody reads here."
		}); err != nil {
			t.Fatal(err)
		}
		if after, err := db.System.Change(ctx); err != nil || after <= before {
			t.Errorf("processes are not told: %d, %v", after, err)
		}
		want := waypost.DefaultPlatformSettings()
		want.Suppression.Hard, want.ReturnPath.Courtesy = 48*time.Hour, "Nobody reads here."
		if got, err := db.System.PlatformSettings(ctx); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
		log := func() []waypost.AuditEntry {
			t.Helper()
			log, err := db.Store.AuditLog(ctx, waypost.PlatformOperatorID, "", 10)
			if err != nil {
				t.Fatal(err)
			}
			return log
		}
		entries := log()
		if len(entries) != 2 || entries[0].Action != "platform.settings" || entries[0].Actor.ID != by.ID {
			t.Errorf("%+v", entries)
		}
		// The same again, and what cannot be, leave nothing behind.
		if err := change(func(*waypost.PlatformSettings) {}); err != nil {
			t.Error(err)
		}
		err = change(func(p *waypost.PlatformSettings) { p.ReturnPath.Forward, p.Suppression.SoftCount = true, 0 })
		if waypost.KindOf(err) != waypost.Invalid {
			t.Errorf("%v", err)
		}
		if got, err := db.System.PlatformSettings(ctx); err != nil || got != want || len(log()) != 2 {
			t.Errorf("%+v, %v, %d entries", got, err, len(log()))
		}
	})
}

func TestTheOwnersPolicySuppresses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		if _, err := db.System.ChangePlatformSettings(ctx, waypost.CommandLine(), func(p *waypost.PlatformSettings) error {
			p.Suppression.Hard = 5 * time.Hour
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		d := acceptLeased(t, db, storetest.Mail{OperatorID: "a", At: now, To: []string{"gone@x.test"}})[0]
		f := result(d, waypost.Bounced)
		f.Symptom = waypost.SuppressedHard
		finish(t, db, f)
		found, err := db.Store.SuppressionsFor(ctx, "a", []string{"gone@x.test"})
		if err != nil || len(found["gone@x.test"]) != 1 {
			t.Fatal(found, err)
		}
		if s := found["gone@x.test"][0]; s.Expires.Sub(s.Created) != 5*time.Hour {
			t.Errorf("suppressed for %s", s.Expires.Sub(s.Created))
		}
	})
}
