package panel_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// lookup answers for the platform's records and keys.
type lookup struct {
	mu       sync.Mutex
	items    []verify.Item
	rotation verify.RotationStatus
	refuses  error
	looked   int
	asked    []string // who asked for a rotation
}

func (l *lookup) CheckPlatform(context.Context) (verify.Report, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looked++
	return verify.Report{Items: l.items, At: time.Date(2026, 3, 4, 15, 6, 7, 0, time.UTC)}, nil
}

func (l *lookup) KeyRotation(context.Context) (verify.RotationStatus, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rotation, nil
}

func (l *lookup) RotateKeys(_ context.Context, by waypost.Actor) (verify.RotationStatus, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuses == nil {
		l.asked = append(l.asked, by.Name)
		l.rotation.State = verify.RotationRecord
	}
	return l.rotation, l.refuses
}

// newLookup has records in every verdict.
func newLookup() *lookup {
	part := func(p verify.Part, v verify.Verdict, r verify.Record, code verify.AdviceCode) verify.Item {
		return verify.Item{Part: p, Required: true, Verdict: v, Record: r, Found: []string{nasty}, Advice: []verify.Advice{{Code: code, Level: verify.AdviceError, Text: nasty}}}
	}
	return &lookup{
		rotation: verify.RotationStatus{Signing: verify.RotationKey{Selector: "wp1"}, Other: verify.RotationKey{Selector: "wp2"}, State: verify.RotationReady},
		items: []verify.Item{
			{Part: verify.DKIM1, Required: true, Verdict: verify.OK, Record: verify.Record{Type: "TXT", Name: "dkim1.platform.example", Value: "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 400)}},
			part(verify.Addresses, verify.Wrong, verify.Record{Type: "TXT", Name: "spf.platform.example", Value: "v=spf1 ip4:192.0.2.1 -all"}, "spf_not_passing"),
			part(verify.ReversePTR, verify.Missing, verify.Record{Type: "PTR", Name: "192.0.2.1", Value: "mx.platform.example."}, "ptr_missing"),
			part(verify.HELO, verify.Unknown, verify.Record{Type: "A", Name: "mx.platform.example", Value: "192.0.2.1"}, "dns_unknown"),
		},
	}
}

func TestThePlatformsRecordsAreLoadedAfterThePage(t *testing.T) {
	l := newLookup()
	w := newWorld(t, func(o *panel.Options) { o.PlatformDNS = l })
	v := w.visitor(t, "", waypost.RoleAuditor)
	page := v.open("/platform/dns")
	page.wants("Platform domain and keys", "The records are being looked up.", "Signs now wp1", "Possible: wp2 can be asked to sign.")
	if l.looked != 0 || !strings.Contains(page.body, `hx-get="/platform/dns/report"`) || !strings.Contains(page.body, `href="/platform/dns/report"`) {
		t.Errorf("looked %d times:\n%s", l.looked, page.body)
	}
	page.lacks("/platform/dns/rotate")
	part := v.part("/platform/dns/report")
	part.wants("1 of 4 required records are right.", "First DKIM key Found", "Sending addresses Wrong", "Name of a sending address Missing", "Name of this server Not known",
		"The address 192.0.2.1 has no name.", "mx.platform.example. 3600 IN A 192.0.2.1", "Last check: Mar 4, 2026")
	part.lacks("<html", "<script>alert", "192.0.2.1. 3600 IN PTR")
	v.open("/platform/dns/report").wants("Platform domain and keys", "1 of 4 required records are right.", "Signs now wp1") // without scripts
	l.items = l.items[:1]
	v.part("/platform/dns/report").wants("All required records are right.")
}

func TestLooksAtThePlatformsRecordsAreBounded(t *testing.T) {
	l := newLookup()
	w := newWorld(t, func(o *panel.Options) { o.PlatformDNS = l })
	v := w.visitor(t, "", waypost.RoleOwner)
	var got answer
	for range 40 {
		if got = v.get("/platform/dns/report"); got.status != http.StatusOK {
			break
		}
	}
	got.wants("That was too many checks")
	if got.status != http.StatusTooManyRequests || l.looked >= 40 {
		t.Errorf("%d after %d", got.status, l.looked)
	}
	v.part("/platform/dns/report").wants("That was too many checks")
}

func TestOnlyTheOwnerRotatesTheKeys(t *testing.T) {
	l := newLookup()
	w := newWorld(t, func(o *panel.Options) { o.PlatformDNS = l })
	owner := w.visitor(t, "", waypost.RoleOwner)
	owner.open("/platform/dns").wants("Rotate keys Sign with the key wp2 from now on?")
	for _, role := range []waypost.Role{waypost.RoleSupport, waypost.RoleAuditor} {
		v := w.visitor(t, "", role)
		v.open("/platform/dns").lacks("/platform/dns/rotate")
		if got := v.post("/platform/dns/rotate"); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", role, got.status)
		}
	}
	if got := owner.post("/platform/dns/rotate"); got.location() != "/platform/dns#keys" {
		t.Fatalf("%d %s", got.status, got.text())
	}
	owner.open("/platform/dns").wants("The rotation is asked for.", "wp2 signs as soon as all name servers have its record.", "Look again now")
	if len(l.asked) != 1 || l.asked[0] != owner.user.Login {
		t.Errorf("asked by %v", l.asked)
	}
	l.rotation.State, l.rotation.Until = verify.RotationCaches, time.Date(2026, 3, 4, 15, 6, 0, 0, time.UTC)
	owner.open("/platform/dns").wants("no resolver can remember an older record, at Mar 4, 2026 3:06 pm.")
	l.rotation.State = verify.RotationKeeping
	page := owner.open("/platform/dns")
	page.wants("Leave the record of wp2 as it is until Mar 4, 2026 3:06 pm")
	page.lacks("/platform/dns/rotate")
	l.refuses = waypost.NewError(waypost.Conflict, "key_kept", "the key is kept")
	got := owner.post("/platform/dns/rotate")
	got.wants("The other key stays as it is for mail that is still on its way.")
	if got.status != http.StatusConflict {
		t.Errorf("%d", got.status)
	}
}

func TestASandboxIsExplainedInsteadOfRecords(t *testing.T) {
	w := newWorld(t, func(o *panel.Options) { o.Platform, o.PlatformDNS = route.Platform{}, newLookup() })
	v := w.visitor(t, "", waypost.RoleOwner)
	page := v.open("/platform/dns")
	page.wants("The built-in gateway is a sandbox", "WAYPOST_PLATFORM_DOMAIN=mail.example.net")
	page.lacks("/platform/dns/report", "/platform/dns/rotate")
	if got := v.get("/platform/dns/report"); got.location() != "/platform/dns" {
		t.Errorf("%d", got.status)
	}
}

func TestAnUpstreamThatSignsHasItsOwnKeys(t *testing.T) {
	w := newWorld(t, func(o *panel.Options) { o.UpstreamSigns, o.PlatformDNS = true, newLookup() })
	page := w.visitor(t, "", waypost.RoleOwner).open("/platform/dns")
	page.wants("The platform's upstream relay signs all mail")
	page.lacks("/platform/dns/rotate")
}
