package panel

import (
	"net/http"

	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/waypost"
)

// writes bound how many forms people send: each is a transaction with an entry in the audit
// log, and all share one disk. Nobody reaches them by hand.
type writes struct {
	people    *limit.Limits
	operators *limit.Limits // all people of an operator together
}

func newWrites() writes {
	return writes{people: limit.New(1, 60), operators: limit.New(5, 300)}
}

// allow counts a form, before anything in it is looked at. The error is RateLimited. Staff
// that acts for an operator counts for itself only: it comes to end what others do there.
func (w writes) allow(q *request) error {
	if q.Method == http.MethodGet || q.Method == http.MethodHead || q.session == nil || q.page.access == anybody || changesNothing(q.page.pattern) {
		return nil
	}
	u := q.session.User
	if !w.people.Allow(u.ID) || u.OperatorID != "" && !w.operators.Allow(u.OperatorID) {
		return waypost.NewError(waypost.RateLimited, "too_many_changes", "too many changes in a short time")
	}
	return nil
}

// changesNothing reports whether a form is sent again and again while somebody types.
func changesNothing(pattern string) bool { return pattern == "POST /settings/email/preview" }
