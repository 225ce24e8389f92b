package storetest_test

import (
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

func TestDomainsOfOperatorsThatHaveToWaitStayDue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		for operator, names := range map[string][]string{"busy": {"a.test", "b.test", "c.test"}, "full": {"d.test"}, "idle": {"e.test"}} {
			for _, name := range names {
				claimDomain(t, db, operator, name)
			}
		}
		now := storetest.Now().Add(time.Second)
		take := func(limit int, except ...string) []store.CheckedDomain {
			t.Helper()
			taken, err := db.System.TakeDomains(ctx, now, now.Add(time.Minute), limit, except...)
			if err != nil {
				t.Fatal(err)
			}
			return taken
		}
		due := func(want bool, except ...string) {
			t.Helper()
			if got, err := db.System.DomainDue(ctx, now, except...); got != want || err != nil {
				t.Errorf("due but for %v: %v, %v", except, got, err)
			}
		}
		due(true, "busy", "full")
		if taken := take(10, "busy", "full"); len(taken) != 1 || taken[0].OperatorID != "idle" {
			t.Errorf("%+v", taken)
		}
		due(false, "busy", "full")
		due(true, "busy")
		if taken := take(2, "full"); len(taken) != 2 || taken[0].OperatorID != "busy" || taken[1].OperatorID != "busy" {
			t.Errorf("%+v", taken)
		}
		if taken := take(10); len(taken) != 2 {
			t.Errorf("what was left is not due any more: %+v", taken)
		}
		due(false)
	})
}

func TestTheDomainThatIsLongestDueIsTakenFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		names := []string{"third.test", "first.test", "second.test"}
		now := storetest.Now()
		for i, minutes := range []int{1, 3, 2} {
			d := claimDomain(t, db, "op", names[i])
			db.Exec(t, "UPDATE domain SET next_check = $1 WHERE id = $2", now.Add(-time.Duration(minutes)*time.Minute).UnixMilli(), d.ID)
		}
		for _, want := range []string{"first.test", "second.test", "third.test"} {
			taken, err := db.System.TakeDomains(t.Context(), now, now.Add(time.Minute), 1)
			if err != nil || len(taken) != 1 || taken[0].Name != want {
				t.Fatalf("%+v, %v, want %s", taken, err, want)
			}
		}
	})
}
