package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// Each check is dozens of questions to name servers that are not ours.
func TestChecksOfDomainsAreBounded(t *testing.T) {
	w := newWorld(t)
	a, b := w.tenant(t, "Alpha", waypost.AllScopes()[:7]...), w.tenant(t, "Bravo", waypost.AllScopes()[:7]...)
	d, err := a.ClaimDomain(t.Context(), "alpha.example")
	if err != nil {
		t.Fatal(err)
	}
	refused := false
	for range 40 {
		if _, err = a.CheckDomain(t.Context(), d.ID); err != nil {
			refused = client.Is(err, "rate_limited")
			break
		}
	}
	if !refused {
		t.Errorf("checked without end: %v", err)
	}
	if _, err := b.ClaimDomain(t.Context(), "bravo.example"); err != nil {
		t.Errorf("another operator pays for it: %v", err)
	}
}

// checked saves what a check of a domain found.
func (w *world) checked(t testing.TB, id string, authorized bool, items ...verify.Item) store.CheckedDomain {
	t.Helper()
	d, err := w.db.System.AnyDomain(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(verify.Report{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	now := waypost.FromMillis(time.Now().UnixMilli())
	save := store.DomainCheck{CheckedDomain: d, Before: d.Checked}
	save.Report, save.Checked, save.Next = string(text), now, now.Add(24*time.Hour)
	if authorized {
		save.Proven, save.Authorized = now, now
	}
	if _, err := w.db.System.SaveDomainCheck(t.Context(), save); err != nil {
		t.Fatal(err)
	}
	w.dir.Forget(d.OperatorID)
	return d
}
