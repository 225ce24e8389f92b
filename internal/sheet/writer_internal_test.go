package sheet

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
)

func TestNoCellOfASheetIsAFormulaWhateverSeparates(t *testing.T) {
	for field, want := range map[string]string{
		"":                             "",
		"Truck 7 left the zone, again": "Truck 7 left the zone, again",
		"12-5=7 a@b.example; +1":       "12-5=7 a@b.example; +1",
		"=1+1":                         "'=1+1",
		"Truck;=HYPERLINK(A1);x":       "Truck;'=HYPERLINK(A1);x",
		"a,+1,-1,@x":                   "a,'+1,'-1,'@x",
		"a;;=1":                        "a;;'=1",
		"a\t=1":                        "a\t'=1",
		"a\r\n=1":                      "a\r'\n'=1",
		`;"=A1;x`:                      `;'"=A1;x`,
		`""=A1`:                        `'""=A1`,
		"а;＝1":                         "а;'＝1",
		"\t=1":                         "'\t'=1",
		`5" screen; "quoted"`:          `5" screen; "quoted"`,
	} {
		if got := harmless(field); got != want {
			t.Errorf("%q: %q, want %q", field, got, want)
		}
		var file bytes.Buffer
		s := NewWriter(&file)
		s.Row([]string{"before", field, "after"})
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&file).ReadAll()
		if back := strings.ReplaceAll(want, "\r\n", "\n"); err != nil || len(rows) != 1 || len(rows[0]) != 3 || rows[0][1] != back {
			t.Errorf("%q: read again as %q, %v", field, rows, err)
		}
	}
}

func TestAFieldWithAnotherSeparatorIsQuoted(t *testing.T) {
	var file bytes.Buffer
	s := NewWriter(&file)
	s.Row([]string{"2026-11-20", "Truck;=1", "a\tb", " x", "plain", ""})
	if err := s.Flush(); err != nil || file.String() != "2026-11-20,\"Truck;'=1\",\"a\tb\",\" x\",plain,\r\n" {
		t.Errorf("%q, %v", file.String(), err)
	}
}
