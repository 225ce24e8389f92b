package storetest_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func TestDueListsEveryKeyOnceInOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		rapid.Check(t, func(rt *rapid.T) {
			for _, table := range []string{"delivery", "message", "body", "event"} {
				db.Exec(t, "DELETE FROM "+table)
			}
			base := storetest.Now()
			want := map[system.Key]time.Time{}
			for range rapid.IntRange(0, 25).Draw(rt, "mails") {
				m := storetest.Mail{
					OperatorID: rapid.SampledFrom([]string{"a", "b", "ab", "B", "ä"}).Draw(rt, "operator"),
					Kind:       rapid.SampledFrom([]waypost.Kind{waypost.KindSecurity, waypost.KindEvent, waypost.KindReport}).Draw(rt, "kind"),
					To:         []string{"u@" + rapid.SampledFrom([]string{"a.test", "a-b.test", "ab.test", "z.test"}).Draw(rt, "site")},
					At:         base, In: time.Duration(rapid.IntRange(-5, 5).Draw(rt, "in")) * time.Minute,
					Lease: rapid.SampledFrom([]string{"", "", "me"}).Draw(rt, "lease"),
				}
				d := accept(t, db, m).Deliveries[0]
				if m.Lease != "" {
					continue
				}
				if rapid.IntRange(0, 5).Draw(rt, "held") == 0 {
					db.Exec(t, "UPDATE delivery SET held = TRUE WHERE id = $1", d.ID)
					continue
				}
				if k := keyOf(d); want[k].IsZero() || d.NextAt.Before(want[k]) {
					want[k] = d.NextAt
				}
			}
			var keys []system.DueKey
			for k, next := range want {
				keys = append(keys, system.DueKey{Key: k, NextAt: next})
			}
			slices.SortFunc(keys, func(a, b system.DueKey) int {
				return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.OperatorID, b.OperatorID), cmp.Compare(a.Site, b.Site))
			})
			// In pages of any size the same comes out.
			size := rapid.IntRange(1, 5).Draw(rt, "page")
			var got []system.DueKey
			for after := (system.Key{}); ; {
				page, err := db.System.Due(t.Context(), after, size)
				if err != nil {
					rt.Fatal(err)
				}
				got = append(got, page...)
				if len(page) < size {
					break
				}
				after = page[len(page)-1].Key
			}
			if diff := gocmp.Diff(keys, got); diff != "" {
				rt.Fatal(diff)
			}
			for _, k := range keys {
				if next, err := db.System.NextDue(t.Context(), k.Key); err != nil || !next.Equal(k.NextAt) {
					rt.Fatal(next, err)
				}
			}
			if next, err := db.System.NextDue(t.Context(), system.Key{OperatorID: "nobody"}); err != nil || !next.IsZero() {
				rt.Fatal(next, err)
			}
		})
	})
}

func TestQueueList(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ids := map[system.QueueState][]string{}
		for i := range 5 {
			m := storetest.Mail{For: time.Duration(10-i) * time.Hour, In: time.Hour, To: []string{fmt.Sprintf("u%d@example.test", i)}}
			scheduled := accept(t, db, m).Deliveries[0].ID
			ids[system.QueueScheduled] = append(ids[system.QueueScheduled], scheduled)
			m.In = 0
			deferred := acceptLeased(t, db, m)[0]
			finish(t, db, result(deferred, waypost.Queued))
			ids[system.QueueDeferred] = append(ids[system.QueueDeferred], deferred.ID)
			m.Lease = fmt.Sprint("node ", i%2)
			ids[system.QueueLeased] = append(ids[system.QueueLeased], accept(t, db, m).Deliveries[0].ID)
			ids[system.QueueHeld] = append(ids[system.QueueHeld], situation(t, db, "held").ID)
		}
		accept(t, db, storetest.Mail{OperatorID: "other", Kind: waypost.KindReport, To: []string{"x@other.test"}})
		finish(t, db, result(acceptLeased(t, db, storetest.Mail{})[0], waypost.Delivered))
		all := func(f system.QueueFilter) []string {
			var got []string
			for cursor := ""; ; {
				list, next, err := db.System.QueueList(t.Context(), f, cursor, 3)
				if err != nil || len(list) > 3 {
					t.Fatal(list, err)
				}
				for _, d := range list {
					got = append(got, d.ID)
				}
				if next == "" {
					return got
				}
				cursor = next
			}
		}
		for state, want := range ids {
			got := all(system.QueueFilter{State: state, OperatorID: "op"})
			slices.Sort(got)
			slices.Sort(want)
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", state, diff)
			}
		}
		for f, want := range map[system.QueueFilter]int{
			{}:                          21,
			{OperatorID: "op"}:          20,
			{Domain: "Other.test"}:      1,
			{Lane: waypost.LaneReport}:  1,
			{OperatorID: "nobody"}:      0,
			{State: system.QueueHeld}:   5,
			{Domain: "example.test"}:    20,
			{Lane: waypost.LaneAlarm}:   0,
			{State: system.QueueLeased}: 5,
			{Domain: "other.test", Lane: waypost.LaneReport, OperatorID: "other", State: system.QueueScheduled}: 1,
		} {
			got := all(f)
			slices.Sort(got)
			if n := len(slices.Compact(got)); n != want {
				t.Errorf("%+v: %d, want %d", f, n, want)
			}
		}
		depth, err := db.System.QueueDepth(t.Context())
		if diff := gocmp.Diff(map[waypost.Lane]int64{
			waypost.LaneAlarm: 0, waypost.LaneTransactional: 20, waypost.LaneReport: 1, waypost.LaneBulk: 0,
		}, depth); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}
