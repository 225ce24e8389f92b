package panel_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// uses makes the session of a person unused for an hour, lets do happen, and reports
// whether that was a use.
func (v *visitor) uses(do func()) bool {
	v.t.Helper()
	hourAgo := waypost.Millis(time.Now().Add(-time.Hour))
	v.w.db.Exec(v.t, "UPDATE user_session SET seen = $1 WHERE user_id = $2", hourAgo, v.user.ID)
	v.w.users.Changed(v.t.Context())
	do()
	return v.w.db.Int(v.t, "SELECT MAX(seen) FROM user_session WHERE user_id = $1", v.user.ID) > hourAgo
}

func TestAPageThatIsLeftOpenKeepsNoSessionAlive(t *testing.T) {
	w := newWorld(t)
	v := w.visitor(t, "", waypost.RoleOwner)
	v.post("/platform/operators/" + w.operator(t, "Acme") + "/enter")
	live := regexp.MustCompile(`hx-get="([^"]+)"[^>]*hx-trigger="(?:every|load)`)
	for _, page := range []string{"/overview", "/platform", "/platform/queue", "/platform/nodes"} {
		part := live.FindStringSubmatch(v.open(page).body)
		if part == nil {
			t.Errorf("%s has no live part", page)
			continue
		}
		if v.uses(func() {
			if got := v.part(part[1]); got.status != http.StatusOK {
				t.Errorf("%s: %d", part[1], got.status)
			}
		}) {
			t.Errorf("the live part of %s is a use", page)
		}
		if !v.uses(func() { v.open(page) }) {
			t.Errorf("opening %s is no use", page)
		}
	}
	// What a person does with a script counts.
	if !v.uses(func() { v.do(http.MethodPost, "/settings/email/test", nil, "HX-Request", "true") }) {
		t.Error("a form is no use")
	}
	if v.uses(func() { v.get("/forgot") }) {
		t.Error("a page for anybody is a use")
	}
}
