package verify_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/verify"
)

func seedSPF(f *testing.F) {
	for _, tt := range spfCases() {
		f.Add(strings.Join(tt.txts, "\n"))
	}
	f.Add("v=spf1 mx a +")
	f.Add("v=spf1 a mx:")
	f.Add("v=spf1 %{")
	f.Add("v=spf1 a:%{d1r.}/24//64 ~- exp==")
}

func FuzzParseSPF(f *testing.F) {
	seedSPF(f)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := verify.ParseSPF(text)
		if errors.Is(err, verify.ErrNoSPF) {
			if s.String() != "" {
				t.Fatalf("no record, and %q", s)
			}
			return
		}
		if s.String() != text {
			t.Fatalf("%q comes back as %q", text, s)
		}
		faults := 0
		for _, term := range s.Terms {
			if term.Text == "" || strings.Contains(term.Text, " ") {
				t.Fatalf("%q has the term %q", text, term.Text)
			}
			if term.Err != nil {
				faults++
				if term.Err.Instead == "" {
					continue
				}
				if _, err := verify.ParseSPF("v=spf1 " + term.Err.Instead); err != nil {
					t.Fatalf("%q is no better than %q", term.Err.Instead, term.Text)
				}
			}
		}
		if (err != nil) != (faults > 0) {
			t.Fatalf("%d faults, and %v", faults, err)
		}
		if again, _ := verify.ParseSPF(s.String()); !cmp.Equal(again.Terms, s.Terms, cmp.AllowUnexported(verify.SPFTerm{})) {
			t.Fatalf("%q is read in two ways", text)
		}
	})
}

func FuzzMergeSPF(f *testing.F) {
	seedSPF(f)
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := verify.ParseSPF(text); !errors.Is(err, verify.ErrNoSPF) {
			checkMerge(t, s, verify.MergeSPF(s, ourInclude))
		}
		txts := strings.Split(text, "\n")
		m := verify.MergeTXT(txts, ourInclude)
		s, err := verify.ParseSPF(m.Record)
		if errors.Is(err, verify.ErrNoSPF) {
			t.Fatalf("%q becomes %q", txts, m.Record)
		}
		checkMerge(t, s, m)
		published := []string{m.Record}
		for _, s := range txts {
			if s != m.Replaces && !slices.Contains(m.Delete, s) {
				published = append(published, s)
			}
		}
		if again := verify.MergeTXT(published, ourInclude); again.Record != m.Record || again.Changed {
			t.Fatalf("%q becomes %q, and then %q", txts, m.Record, again.Record)
		}
		verify.AuditSPF(t.Context(), zones{"shop.test": {"TXT " + m.Record}}, "shop.test", ourInclude)
	})
}
