package storetest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// ended ends a mail of an operator over a route.
func ended(t testing.TB, db *storetest.DB, operator string, state waypost.State, change func(*storetest.Mail, *system.Finish)) waypost.Delivery {
	t.Helper()
	m := storetest.Mail{OperatorID: operator}
	f := &system.Finish{Route: waypost.RouteDirect}
	change(&m, f)
	d := acceptLeased(t, db, m)[0]
	r := result(d, state)
	r.Route, r.BadAddress = f.Route, f.BadAddress
	finish(t, db, r)
	return d
}

func windows(t testing.TB, db *storetest.DB, operator string, now time.Time) waypost.ReputationWindows {
	t.Helper()
	r, err := db.Store.Reputation(t.Context(), operator)
	if err != nil {
		t.Fatal(err)
	}
	w, err := db.Store.GatewayWindows(t.Context(), r, now)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTheBuiltinGatewaysFiguresAreItsOwnAndThoseOfAddresses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		operator := newOperator(t, db, waypost.ProductServermate).ID
		as := func(route waypost.RouteKind, bad bool, kind waypost.Kind) func(*storetest.Mail, *system.Finish) {
			return func(m *storetest.Mail, f *system.Finish) { f.Route, f.BadAddress, m.Kind = route, bad, kind }
		}
		ended(t, db, operator, waypost.Delivered, as(waypost.RouteDirect, false, waypost.KindEvent))
		ended(t, db, operator, waypost.Delivered, as(waypost.RouteUpstream, false, waypost.KindReport))
		ended(t, db, operator, waypost.Bounced, as(waypost.RouteDirect, true, waypost.KindEvent))
		ended(t, db, operator, waypost.Bounced, as(waypost.RouteDirect, false, waypost.KindEvent)) // ours, or the message's
		for _, out := range []func(*storetest.Mail, *system.Finish){
			as(waypost.RouteRelay, true, waypost.KindEvent), as(waypost.RouteSandbox, true, waypost.KindEvent), as(waypost.RouteDirect, true, waypost.KindTest),
		} {
			ended(t, db, operator, waypost.Bounced, out)
		}
		ended(t, db, operator, waypost.Expired, as(waypost.RouteDirect, false, waypost.KindEvent))
		ended(t, db, operator, waypost.Queued, as(waypost.RouteDirect, false, waypost.KindEvent))
		now := time.Now()
		want := waypost.GatewayFigures{Ended: 4, Bounced: 1}
		if diff := cmp.Diff(waypost.ReputationWindows{Day: want, Week: want}, windows(t, db, operator, now)); diff != "" {
			t.Error(diff)
		}
		// Late reports count where the delivery ended, once each.
		late := ended(t, db, operator, waypost.Delivered, func(m *storetest.Mail, _ *system.Finish) { m.At = storetest.Now().Add(-3 * 24 * time.Hour) })
		db.Exec(t, "UPDATE delivery SET updated = updated - $1 WHERE id = $2", (3 * 24 * time.Hour).Milliseconds(), late.ID)
		for range 2 {
			report(t, db, waypost.Feedback{DeliveryID: late.ID, Sort: waypost.FeedbackComplaint, Symptom: waypost.SuppressedComplaint, At: storetest.Now()})
			report(t, db, waypost.Feedback{DeliveryID: late.ID, Sort: waypost.FeedbackBounce, BadAddress: true, At: storetest.Now()})
		}
		own := ended(t, db, operator, waypost.Delivered, as(waypost.RouteRelay, false, waypost.KindEvent))
		report(t, db, waypost.Feedback{DeliveryID: own.ID, Sort: waypost.FeedbackComplaint, Symptom: waypost.SuppressedComplaint, At: storetest.Now()})
		want.Ended++ // it ended today; its reports are of three days ago
		got := windows(t, db, operator, now)
		if diff := cmp.Diff(waypost.ReputationWindows{Day: want, Week: waypost.GatewayFigures{Ended: 5, Bounced: 2, Complaints: 1}}, got); diff != "" {
			t.Error(diff)
		}
		all := db.Int(t, "SELECT CAST(SUM(builtin_ended * 100 + builtin_bounced * 10 + builtin_complaints) AS bigint) FROM rollup WHERE operator_id = ''")
		if all != 521 {
			t.Errorf("all operators together have %d", all)
		}
		auditClean(t, db)
	})
}

func TestOneMailboxSpeaksOnceHoweverManyOfItsMailsItReports(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		operator := newOperator(t, db, waypost.ProductServermate).ID
		to := func(address string) waypost.Delivery {
			return ended(t, db, operator, waypost.Delivered, func(m *storetest.Mail, _ *system.Finish) { m.To = []string{address} })
		}
		complain := func(d waypost.Delivery) {
			report(t, db, waypost.Feedback{DeliveryID: d.ID, Sort: waypost.FeedbackComplaint, Symptom: waypost.SuppressedComplaint, At: storetest.Now()})
		}
		for range 6 {
			complain(to("Eve@x.test"))
		}
		for range 3 {
			report(t, db, waypost.Feedback{DeliveryID: to("gone@x.test").ID, Sort: waypost.FeedbackBounce, BadAddress: true, Symptom: waypost.SuppressedHard, At: storetest.Now()})
		}
		want := waypost.GatewayFigures{Ended: 9, Bounced: 1, Complaints: 1}
		if got := windows(t, db, operator, time.Now()).Day; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		// Nor does it help an operator to put whom it mailed on its list.
		d := to("bob@x.test")
		if err := db.Store.AddSuppression(t.Context(), waypost.CommandLine(), operator, waypost.Suppression{Address: "bob@x.test", Reason: waypost.SuppressedComplaint}); err != nil {
			t.Fatal(err)
		}
		complain(d)
		if got := windows(t, db, operator, time.Now()).Day; got.Complaints != 2 {
			t.Errorf("a complaint was silenced: %+v", got)
		}
		auditClean(t, db)
	})
}

func TestRecipientsOfTheDayAreThoseOfTheBuiltinGateway(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		now := storetest.Now()
		send := func(builtin bool, kind waypost.Kind, at time.Time, suppressed bool) {
			a := storetest.Mail{To: []string{"a@x.test", "b@x.test"}, Kind: kind, At: at}.Accepting()
			if a.Builtin = builtin; suppressed {
				a.Deliveries[0].State = waypost.Suppressed
			}
			if err := db.Store.Accept(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		send(true, waypost.KindEvent, now, false)
		send(true, waypost.KindReport, now.Add(-20*time.Hour), true)
		send(true, waypost.KindSecurity, now, false)
		send(true, waypost.KindTest, now, false)
		send(false, waypost.KindEvent, now, false)
		send(true, waypost.KindEvent, now.Add(-26*time.Hour), false)
		got, err := db.Store.BuiltinAccepted(t.Context(), "op", now.Add(-24*time.Hour))
		if err != nil || got != 3 {
			t.Errorf("%d, %v", got, err)
		}
	})
}

func TestWhoHasNewsIsJudged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		quiet, busy, own, paused := newOperator(t, db, waypost.ProductServermate), newOperator(t, db, waypost.ProductServermate),
			newOperator(t, db, waypost.ProductServermate), newOperator(t, db, waypost.ProductServermate)
		ended(t, db, busy.ID, waypost.Bounced, func(_ *storetest.Mail, f *system.Finish) { f.BadAddress = true })
		ended(t, db, own.ID, waypost.Bounced, func(_ *storetest.Mail, f *system.Finish) { f.Route = waypost.RouteRelay })
		ended(t, db, waypost.PlatformOperatorID, waypost.Bounced, func(_ *storetest.Mail, f *system.Finish) { f.BadAddress = true })
		now := storetest.Now()
		number := change(t, db)
		level := func(operator string, l waypost.ReputationLevel) {
			t.Helper()
			is, err := db.System.ChangeReputation(ctx, waypost.Policy(), operator, now, func(was waypost.Reputation, _ waypost.GatewayFigures) waypost.Reputation {
				was.Level, was.Since, was.By = l, now, "policy"
				was.Figures.Day = waypost.GatewayFigures{Ended: 200, Bounced: 100}
				return was
			})
			if err != nil || is.Level != l {
				t.Fatal(is, err)
			}
		}
		hook := newWebhook(t, db, paused.ID)
		level(paused.ID, waypost.LevelPaused)
		if change(t, db) == number {
			t.Error("no process notices")
		}
		cases, err := db.System.ReputationCases(ctx, now)
		if err != nil || len(cases) != 2 {
			t.Fatal(cases, err)
		}
		for _, c := range cases {
			want := map[string]int64{busy.ID: 1, paused.ID: 0}
			n, ok := want[c.Reputation.OperatorID]
			if !ok || c.Windows.Day.Bounced != n || (c.Reputation.Level == waypost.LevelPaused) != (c.Reputation.OperatorID == paused.ID) {
				t.Errorf("%+v", c)
			}
		}
		later, err := db.System.ReputationCases(ctx, now.Add(time.Hour))
		if err != nil || len(later) != 1 || later[0].Reputation.OperatorID != paused.ID {
			t.Errorf("an hour later: %+v, %v", later, err)
		}
		log, err := db.Store.AuditLog(ctx, paused.ID, "", 1)
		if err != nil || log[0].Action != "gateway.pause" || log[0].Target != paused.Name || log[0].Detail == "" {
			t.Errorf("%+v, %v", log, err)
		}
		// People are told once of what is worse than before.
		untold := func() []waypost.Reputation {
			t.Helper()
			list, err := db.System.UntoldReputations(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		first := untold()
		if len(first) != 1 || first[0].OperatorID != paused.ID {
			t.Fatalf("%+v", first)
		}
		if err := db.System.ReputationTold(ctx, first[0], now); err != nil || len(untold()) != 0 {
			t.Error(untold(), err)
		}
		level(paused.ID, waypost.LevelWarned)
		if len(untold()) != 0 {
			t.Error("people are told about what is better")
		}
		now = now.Add(time.Minute)
		level(paused.ID, waypost.LevelSlowed)
		if err := db.System.ReputationTold(ctx, first[0], now); err != nil || len(untold()) != 1 {
			t.Error("what is worse is taken for told", untold(), err)
		}
		if diff := cmp.Diff([]string{"gateway.paused", "gateway.warned", "gateway.slowed"}, toldOf(t, db, hook)); diff != "" {
			t.Error(diff)
		}
		counts, err := db.System.ReputationCounts(ctx)
		if diff := cmp.Diff(map[waypost.ReputationLevel]int64{waypost.LevelSlowed: 1}, counts); diff != "" || err != nil {
			t.Error(diff, err)
		}
		found, _, err := db.System.FindOperators(ctx, waypost.OperatorFilter{Trouble: waypost.TroubleGuard}, "", 10)
		if err != nil || len(found) != 1 || found[0].ID != paused.ID || found[0].Level != waypost.LevelSlowed {
			t.Errorf("%+v, %v", found, err)
		}
		if err := db.System.SetReputationCalm(ctx, paused.ID, now); err != nil {
			t.Fatal(err)
		}
		if r, err := db.Store.Reputation(ctx, paused.ID); err != nil || !r.CalmSince.Equal(now) || r.Level != waypost.LevelSlowed {
			t.Errorf("%+v, %v", r, err)
		}
		if r, err := db.Store.Reputation(ctx, quiet.ID); err != nil || r.Now() != waypost.LevelOK {
			t.Errorf("%+v, %v", r, err)
		}
		_, err = db.System.ChangeReputation(ctx, waypost.Policy(), waypost.NewID(), now, func(was waypost.Reputation, _ waypost.GatewayFigures) waypost.Reputation {
			t.Error("asked about an operator that is not there")
			return was
		})
		wantKind(t, err, waypost.NotFound)
	})
}

func TestWhatWasBeforeALiftIsForgiven(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		operator := newOperator(t, db, waypost.ProductServermate).ID
		bad := func(_ *storetest.Mail, f *system.Finish) { f.BadAddress = true }
		for range 3 {
			ended(t, db, operator, waypost.Bounced, bad)
		}
		before := ended(t, db, operator, waypost.Delivered, func(*storetest.Mail, *system.Finish) {})
		now := storetest.Now().Add(time.Millisecond)
		if _, err := db.System.ChangeReputation(t.Context(), waypost.CommandLine(), operator, now,
			func(was waypost.Reputation, hour waypost.GatewayFigures) waypost.Reputation {
				was.Since, was.CountedFrom, was.Base, was.By = now, now, hour, "cli"
				return was
			}); err != nil {
			t.Fatal(err)
		}
		report(t, db, waypost.Feedback{DeliveryID: before.ID, Sort: waypost.FeedbackBounce, BadAddress: true, At: storetest.Now()})
		ended(t, db, operator, waypost.Bounced, bad)
		ended(t, db, operator, waypost.Delivered, func(*storetest.Mail, *system.Finish) {})
		want := waypost.GatewayFigures{Ended: 2, Bounced: 1}
		for _, at := range []time.Time{now, now.Add(23 * time.Hour)} {
			if diff := cmp.Diff(waypost.ReputationWindows{Day: want, Week: want}, windows(t, db, operator, at)); diff != "" {
				t.Errorf("at %v: %s", at, diff)
			}
		}
		db.Exec(t, "UPDATE counter SET builtin_at = $1", waypost.Millis(now.Add(48*time.Hour)))
		cases, err := db.System.ReputationCases(t.Context(), now.Add(48*time.Hour))
		if err != nil || len(cases) != 1 {
			t.Fatal(cases, err)
		}
		if diff := cmp.Diff(waypost.ReputationWindows{Week: want}, cases[0].Windows); diff != "" {
			t.Errorf("two days later: %s", diff)
		}
		if hour := store.HourOf(now); hour != now.Unix()/3600 {
			t.Error(hour)
		}
	})
}
