package verify_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/verify"
)

func FuzzParseDMARC(f *testing.F) {
	for _, tt := range dmarcCases() {
		for _, records := range tt.zones {
			for _, r := range records {
				f.Add(strings.TrimPrefix(r, "TXT "))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := verify.ParseDMARC(text)
		if err != nil {
			return
		}
		again, err := verify.ParseDMARC(d.String())
		if err != nil {
			t.Fatalf("%q becomes %q: %v", text, d, err)
		}
		// What is no tag is not rendered.
		d.Faults, again.Faults = nil, nil
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatalf("%q becomes %q: %s", text, d, diff)
		}
		v := verify.ReviewDMARC(t.Context(), zones{}.with("_dmarc.shop.test", text), "shop.test")
		if v.Verdict != verify.OK || v.Policy != d.Policy {
			t.Fatalf("%q: %+v", text, v)
		}
	})
}
