package storetest_test

import (
	"testing"

	"github.com/waypost/waypost/internal/store/storetest"
)

func TestAcceptIsVisibleAfterReturn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		a := storetest.Mail{}.Accepting()
		if err := db.Store.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		got, err := db.Store.Message(t.Context(), "op", a.Messages[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Deliveries) != 1 {
			t.Fatal(got)
		}
	})
}
