package waypost_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/waypost"
)

func TestAReputationPolicyIsKeptAsItIs(t *testing.T) {
	want := waypost.DefaultReputationPolicy()
	if err := want.Check(); err != nil {
		t.Fatal(err)
	}
	want.Off, want.Bounces.Warn = true, 2.5
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got waypost.ReputationPolicy
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := json.Unmarshal([]byte(`{"ramp":" 2:  50 \r\n\n10: 60\n"}`), &got); err != nil {
		t.Fatal(err)
	}
	want.Ramp = []waypost.RampStep{{Days: 2, Recipients: 50}, {Days: 10, Recipients: 60}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAReputationPolicyThatCannotBeIsRefused(t *testing.T) {
	for values, field := range map[string]string{
		`{"bounce_warn":101}`:                           "bounce_warn",
		`{"bounce_slow":4}`:                             "bounce_slow",
		`{"bounce_slow":0,"bounce_pause":4}`:            "bounce_pause",
		`{"complaint_pause":-1}`:                        "complaint_pause",
		`{"least_recipients":0}`:                        "least_recipients",
		`{"least_complaints":0}`:                        "least_complaints",
		`{"slow_per_minute":0}`:                         "slow_per_minute",
		`{"ramp":"1"}`:                                  "ramp",
		`{"ramp":"1: 10 20"}`:                           "ramp",
		`{"ramp":"2: 10\n1: 20"}`:                       "ramp",
		`{"ramp":"1: 20\n2: 10"}`:                       "ramp",
		`{"ramp":"1: 0"}`:                               "ramp",
		`{"ramp":"` + strings.Repeat("x\\n", 30) + `"}`: "ramp",
		`{"ramp":"99999: 10"}`:                          "ramp",
		`{"bounce_warn":0,"bounce_slow":0,"ramp":""}`:   "", // never, and no limit
	} {
		p := waypost.DefaultReputationPolicy()
		if err := json.Unmarshal([]byte(values), &p); err != nil {
			t.Fatal(values, err)
		}
		got := ""
		if err := p.Check(); err != nil {
			got = waypost.AsError(err).Field
		}
		if got != field {
			t.Errorf("%s: refused for %q, want %q", values, got, field)
		}
	}
}
