package api_test

import (
	"testing"

	"github.com/waypost/waypost/client"
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
