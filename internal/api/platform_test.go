package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// ownDNS is a platform whose second key was asked to sign, or that refuses to.
type ownDNS struct {
	asked   bool
	refusal error
}

func (o *ownDNS) CheckPlatform(context.Context) (verify.Report, error) {
	return verify.Report{At: time.UnixMilli(1_700_000_000_000), Items: []verify.Item{{
		Part: "dkim1", Required: true, Verdict: verify.Missing, Record: verify.Record{Name: "dkim1.platform.example", Type: "TXT", Value: "v=DKIM1"},
	}}}, o.refusal
}

func (o *ownDNS) KeyRotation(context.Context) (verify.RotationStatus, error) {
	s := verify.RotationStatus{
		Signing: verify.RotationKey{Selector: "wp1", Started: time.UnixMilli(1_600_000_000_000)}, Other: verify.RotationKey{Selector: "wp2"},
		State: verify.RotationReady,
	}
	if o.asked {
		s.State, s.Other.Wanted = verify.RotationRecord, time.UnixMilli(1_700_000_000_000)
	}
	return s, nil
}

func (o *ownDNS) RotateKeys(ctx context.Context, by waypost.Actor) (verify.RotationStatus, error) {
	if o.refusal != nil {
		return verify.RotationStatus{}, o.refusal
	}
	o.asked = true
	return o.KeyRotation(ctx)
}

func TestThePlatformSeesItsRecordsAndRotatesItsKeys(t *testing.T) {
	dns := &ownDNS{}
	w := newWorld(t, func(o *api.Options) { o.PlatformDNS = dns })
	got, err := w.root.PlatformDNS(t.Context())
	if err != nil || len(got.Records) != 1 || got.Records[0].Record.Name != "dkim1.platform.example" || got.Rotation.State != "ready" || got.Rotation.Signing != "wp1" {
		t.Errorf("%+v, %v", got, err)
	}
	rotation, err := w.root.RotateDKIM(t.Context())
	if err != nil || rotation.State != "record" || rotation.Other != "wp2" || rotation.AskedAt.IsZero() {
		t.Errorf("%+v, %v", rotation, err)
	}
	dns.refusal = waypost.NewError(waypost.Conflict, "key_kept", "the key wp1 stays as it is")
	_, err = w.root.RotateDKIM(t.Context())
	wantRefusal(t, err, http.StatusConflict, "key_kept", "")
	_, err = w.root.PlatformDNS(t.Context())
	wantRefusal(t, err, http.StatusConflict, "key_kept", "")

	dns.asked, dns.refusal = false, nil
	c := w.tenant(t, "Acme", waypost.AllScopes()[:7]...)
	if _, err := c.PlatformDNS(t.Context()); refused(t, err).Status != http.StatusForbidden {
		t.Errorf("an operator reads the platform's records: %v", err)
	}
	if _, err := c.RotateDKIM(t.Context()); refused(t, err).Status != http.StatusForbidden || dns.asked {
		t.Errorf("an operator rotates the platform's keys: %v", err)
	}
}

func TestThePlatformsSettingsAreChangedOneByOne(t *testing.T) {
	w := newWorld(t)
	got, err := w.root.PlatformSettings(t.Context())
	if err != nil || *got.Suppression.Hard != 168 || *got.Suppression.SoftCount != 3 || *got.ReturnPath.Courtesy != "" || *got.ReturnPath.Forward {
		t.Fatalf("%+v, %v", got, err)
	}
	kept, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for name, section := range new(waypost.PlatformSettings).Sections() { // the API has every value of every section
		var all map[string]map[string]any
		values, err := section.MarshalJSON()
		var want map[string]any
		if err != nil || json.Unmarshal(values, &want) != nil || json.Unmarshal(kept, &all) != nil {
			t.Fatal(err)
		}
		for key := range want {
			if _, ok := all[name][key]; !ok {
				t.Errorf("%s.%s is missing", name, key)
			}
		}
	}
	day, text := 24, "Write to us at help@fleet.example."
	got, err = w.root.ChangePlatformSettings(t.Context(), client.PlatformSettings{
		Suppression: &client.SuppressionSettings{Complaint: &day}, ReturnPath: &client.ReturnPathSettings{Courtesy: &text},
	})
	if err != nil || *got.Suppression.Complaint != 24 || *got.Suppression.Hard != 168 || *got.ReturnPath.Courtesy != text {
		t.Fatalf("%+v, %v", got, err)
	}
	none := 0
	_, err = w.root.ChangePlatformSettings(t.Context(), client.PlatformSettings{Suppression: &client.SuppressionSettings{Hard: &none}})
	wantRefusal(t, err, http.StatusUnprocessableEntity, "invalid", "body.suppression.hard_hours")
	for _, text := range []string{"schöne Grüße", "a\r\n250 OK", "a\x00", strings.Repeat("x", 401), strings.Repeat("x\n", 10)} {
		_, err = w.root.ChangePlatformSettings(t.Context(), client.PlatformSettings{ReturnPath: &client.ReturnPathSettings{Courtesy: &text}})
		wantRefusal(t, err, http.StatusUnprocessableEntity, "invalid", "body.return_path.courtesy")
	}
	after, err := w.root.PlatformSettings(t.Context())
	if err != nil || *after.Suppression.Hard != 168 || *after.Suppression.Complaint != 24 {
		t.Errorf("%+v, %v", after, err)
	}
	c := w.tenant(t, "Acme", waypost.AllScopes()[:7]...)
	if _, err := c.PlatformSettings(t.Context()); refused(t, err).Status != http.StatusForbidden {
		t.Errorf("an operator reads the platform's settings: %v", err)
	}
	if _, err := c.ChangePlatformSettings(t.Context(), client.PlatformSettings{}); refused(t, err).Status != http.StatusForbidden {
		t.Errorf("an operator changes the platform's settings: %v", err)
	}
}
