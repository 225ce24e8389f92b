package submit_test

import (
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestAnOperatorHasALimitOfItsOwn(t *testing.T) {
	w := newWorld(t, nil)
	limit := func(n int) {
		a := *w.accounts["op"]
		a.PerMinute = n
		w.accounts["op"] = &a
	}
	by := func(credential string) waypost.Submission {
		s := submission()
		s.Principal.CredentialID = credential
		return s
	}
	limit(3)
	for _, credential := range []string{"one", "two", ""} { // whoever sends
		w.mustAccept(by(credential))
	}
	_, err := w.accept(by("three"))
	refused(t, err, waypost.RateLimited, "operator_rate_limited", "")
	other := by("four")
	other.Principal.OperatorID, other.OperatorID = "other", "other"
	b := *w.accounts["op"]
	b.ID, b.PerMinute = "other", 0
	w.accounts["other"] = &b
	w.mustAccept(other)

	security := by("three")
	security.Kind = waypost.KindSecurity
	security.Principal.Scopes = append(security.Principal.Scopes, waypost.ScopeSecurity)
	w.mustAccept(security)

	limit(4) // counts from the next mail on
	w.mustAccept(by("three"))
	limit(0)
	for range 10 {
		w.mustAccept(by("three"))
	}
}
