package storetest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// found lists the subjects of what a filter finds, newest first, read in pages.
func found(t *testing.T, db *storetest.DB, operator string, f store.MessageFilter) []string {
	t.Helper()
	var subjects []string
	for {
		page, err := db.Store.Messages(t.Context(), operator, f)
		if err != nil {
			t.Fatal(err)
		}
		if f.Limit > 0 && len(page.Messages) > f.Limit {
			t.Fatalf("a page of %d, limit %d", len(page.Messages), f.Limit)
		}
		for _, m := range page.Messages {
			subjects = append(subjects, m.Subject)
		}
		if page.Next == "" {
			return subjects
		}
		f.Cursor = page.Next
	}
}

func TestSearch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		at := storetest.Now().Add(-time.Hour)
		minute := func(n int) time.Time { return at.Add(time.Duration(n) * time.Minute) }
		for i, m := range []storetest.Mail{
			{Subject: "0 Überfahrt der ZONE", To: []string{"anna@example.test", "bert@münchen.test", "Anna@example.test"}, Tags: []string{"x", "y"}},
			{Subject: "1 zone left", To: []string{"ANNA@Example.test"}, Kind: waypost.KindReport},
			{Subject: "2 100% done", To: []string{"an%na@example.test"}, Tags: []string{"x"}},
			{Subject: "3 100 percent", To: []string{"an_na@example.test"}},
			{Subject: "4 plain", To: []string{"anxna@other.test", "anna@other.test", "third@other.test"}},
			{Subject: "5 Ваш баланс", To: []string{"anna@example.test.evil"}, Kind: waypost.KindBalance},
			{Subject: "6 zone code 123456", To: []string{"anna@secret.test"}, Kind: waypost.KindSecurity},
			{Subject: "7 zone", OperatorID: "other", To: []string{"anna@example.test"}},
		} {
			m.At = minute(i)
			a := m.Accepting()
			for j := range a.Deliveries {
				if a.Deliveries[j].Site == "münchen.test" {
					a.Deliveries[j].Site = "xn--mnchen-3ya.test"
				}
			}
			if i == 4 {
				a.Deliveries[0].Lease = "me"
				a.Deliveries[0].Epoch = 1
			}
			if err := db.Store.Accept(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if i == 4 {
				finish(t, db, result(a.Deliveries[0], waypost.Bounced))
			}
		}
		for name, c := range map[string]struct {
			filter store.MessageFilter
			want   string // first characters of the subjects; "-" for the hidden one of kind security
		}{
			"all":                     {store.MessageFilter{}, "-543210"},
			"exact, any case":         {store.MessageFilter{Recipient: "Anna@EXAMPLE.test"}, "10"},
			"exact with % in it":      {store.MessageFilter{Recipient: "an%na@example.test"}, "2"},
			"prefix":                  {store.MessageFilter{Recipient: "ann*"}, "-5410"},
			"prefix with %":           {store.MessageFilter{Recipient: "an%*"}, "2"},
			"prefix with _":           {store.MessageFilter{Recipient: "an_*"}, "3"},
			"prefix of everything":    {store.MessageFilter{Recipient: "*"}, "-543210"},
			"prefix of nobody":        {store.MessageFilter{Recipient: "zzz*"}, ""},
			"domain":                  {store.MessageFilter{Recipient: "@other.test"}, "4"},
			"domain, not its parent":  {store.MessageFilter{Recipient: "@example.test"}, "3210"},
			"domain in Unicode":       {store.MessageFilter{Recipient: "@MÜNCHEN.test"}, "0"},
			"domain in A-labels":      {store.MessageFilter{Recipient: "@xn--mnchen-3ya.test"}, "0"},
			"word":                    {store.MessageFilter{Subject: "zone"}, "10"},
			"word, upper case":        {store.MessageFilter{Subject: "ZONE"}, "10"},
			"word with umlaut":        {store.MessageFilter{Subject: "überfahrt"}, "0"},
			"Cyrillic word":           {store.MessageFilter{Subject: "БАЛАНС"}, "5"},
			"part of a word":          {store.MessageFilter{Subject: "zon"}, ""},
			"two words":               {store.MessageFilter{Subject: "left zone"}, "1"},
			"number":                  {store.MessageFilter{Subject: "100"}, "32"},
			"hidden subject":          {store.MessageFilter{Subject: "123456"}, ""},
			"kind":                    {store.MessageFilter{Kind: waypost.KindReport}, "1"},
			"tag":                     {store.MessageFilter{Tag: "x"}, "20"},
			"state with an index":     {store.MessageFilter{State: waypost.Bounced}, "4"},
			"state without one":       {store.MessageFilter{State: waypost.Queued}, "-543210"},
			"state nobody is in":      {store.MessageFilter{State: waypost.Delivered}, ""},
			"from":                    {store.MessageFilter{From: minute(4)}, "-54"},
			"to":                      {store.MessageFilter{To: minute(2)}, "10"},
			"period":                  {store.MessageFilter{From: minute(1), To: minute(3)}, "21"},
			"recipient in a period":   {store.MessageFilter{Recipient: "anna@example.test", From: minute(1)}, "1"},
			"prefix in a period":      {store.MessageFilter{Recipient: "ann*", From: minute(1), To: minute(5)}, "41"},
			"recipient and word":      {store.MessageFilter{Recipient: "@example.test", Subject: "100"}, "32"},
			"recipient and state":     {store.MessageFilter{Recipient: "anna@other.test", State: waypost.Bounced}, "4"},
			"recipient and not state": {store.MessageFilter{Recipient: "anna@example.test", State: waypost.Bounced}, ""},
		} {
			for _, limit := range []int{0, 1, 2} {
				c.filter.Limit = limit
				got := ""
				for _, s := range found(t, db, "op", c.filter) {
					got += (s + "-")[:1]
				}
				if got != c.want {
					t.Errorf("%s, limit %d: %q, want %q", name, limit, got, c.want)
				}
			}
		}
		page, err := db.Store.Messages(t.Context(), "op", store.MessageFilter{Recipient: "@other.test"})
		if err != nil || len(page.Messages) != 1 {
			t.Fatal(page, err)
		}
		m := page.Messages[0]
		if diff := cmp.Diff(map[waypost.State]int{waypost.Queued: 2, waypost.Bounced: 1}, m.States); diff != "" || m.Recipients != 3 || m.Recipient != "anna@other.test" {
			t.Errorf("%+v %s", m, diff)
		}
	})
}

func TestSearchWithinABatch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		batch := batchOf(5, waypost.KindEvent)
		if err := db.Store.Accept(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		accept(t, db, storetest.Mail{To: []string{"3@example.test"}})
		id := batch.Messages[0].BatchID
		for f, want := range map[store.MessageFilter]int{
			{BatchID: id, Limit: 2}:                         5,
			{BatchID: id, Recipient: "3@example.test"}:      1,
			{BatchID: id, Recipient: "3*"}:                  1,
			{BatchID: "nothing"}:                            0,
			{BatchID: id, To: batch.At.Add(-time.Second)}:   0,
			{BatchID: id, State: waypost.Queued, Limit: 3}:  5,
			{BatchID: id, State: waypost.Bounced, Limit: 3}: 0,
		} {
			if got := found(t, db, "op", f); len(got) != want {
				t.Errorf("%+v: %d, want %d", f, len(got), want)
			}
		}
	})
}

func TestSearchIsBoundedAndSaysSo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		const messages = 20600
		at := storetest.Now().Add(-time.Hour)
		all := storetest.Mail{At: at, Subject: "needle"}.Accepting()
		for i := range messages {
			one := storetest.Mail{At: at.Add(time.Duration(i+1) * time.Millisecond), To: []string{fmt.Sprintf("u%d@example.test", i)}}.Accepting()
			all.Messages = append(all.Messages, one.Messages[0])
			all.Deliveries = append(all.Deliveries, one.Deliveries[0])
		}
		if err := db.Store.Accept(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		for _, f := range []store.MessageFilter{{Subject: "needle"}, {Subject: "needle", Recipient: "@example.test"}} {
			page, err := db.Store.Messages(t.Context(), "op", f)
			if err != nil || len(page.Messages) != 0 || !page.Truncated || page.Next == "" {
				t.Fatalf("%d messages, truncated %v, next %q, %v", len(page.Messages), page.Truncated, page.Next, err)
			}
			for calls := 0; page.Truncated && calls < 10; calls++ {
				f.Cursor = page.Next
				if page, err = db.Store.Messages(t.Context(), "op", f); err != nil {
					t.Fatal(err)
				}
			}
			if len(page.Messages) != 1 || page.Next != "" {
				t.Fatalf("%d messages, truncated %v, next %q", len(page.Messages), page.Truncated, page.Next)
			}
		}
		page, err := db.Store.Messages(t.Context(), "op", store.MessageFilter{Recipient: "u*", Limit: 1000})
		if err != nil || len(page.Messages) != 1000 || !page.Truncated {
			t.Fatalf("%d messages, truncated %v, %v", len(page.Messages), page.Truncated, err)
		}
		page, err = db.Store.Messages(t.Context(), "op", store.MessageFilter{Recipient: "u2059*"})
		if err != nil || page.Truncated || len(page.Messages) != 11 || !strings.HasPrefix(page.Messages[0].Recipient, "u2059") {
			t.Fatalf("%d messages, truncated %v, %v", len(page.Messages), page.Truncated, err)
		}
		// The figures of a deep queue are still exact while one lane is deep.
		depth, err := db.System.QueueDepth(t.Context())
		if diff := cmp.Diff(map[waypost.Lane]int64{
			waypost.LaneAlarm: 0, waypost.LaneTransactional: messages + 1, waypost.LaneReport: 0, waypost.LaneBulk: 0,
		}, depth); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

func TestWaitingNamesOneQueuedDeliveryOfEachMessage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		done := storetest.Mail{}.Accepting()
		done.Deliveries[0].State = waypost.Delivered
		if err := db.Store.Accept(t.Context(), done); err != nil {
			t.Fatal(err)
		}
		two := accept(t, db, storetest.Mail{To: []string{"a@example.test", "b@example.test"}})
		ids := []string{done.Messages[0].ID, two.Messages[0].ID, "none"}
		got, err := db.Store.Waiting(t.Context(), two.OperatorID, ids)
		first := min(two.Deliveries[0].ID, two.Deliveries[1].ID)
		if err != nil || len(got) != 1 || got[two.Messages[0].ID].ID != first {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err = db.Store.Waiting(t.Context(), two.OperatorID, nil); err != nil || len(got) != 0 {
			t.Errorf("of none: %+v, %v", got, err)
		}
	})
}
