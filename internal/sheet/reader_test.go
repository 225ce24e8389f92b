package sheet_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/sheet"
)

// row is what Read returns, its error as text.
type row struct {
	line  int
	cells []string
	err   string
}

func readAll(t testing.TB, text string) (rows []row) {
	t.Helper()
	in, err := sheet.NewReader(strings.NewReader(text))
	if err != nil {
		return []row{{err: err.Error()}}
	}
	for {
		line, cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows
		}
		r := row{line: line, cells: append([]string(nil), cells...)}
		if err != nil {
			r.err = err.Error()
		}
		rows = append(rows, r)
	}
}

func TestFilesOfAllSortsAreRead(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []row
	}{
		"comma":            {"a,b\r\nc,d\r\n", []row{{1, []string{"a", "b"}, ""}, {2, []string{"c", "d"}, ""}}},
		"semicolon":        {"a;b;c,d\ne;f;g\n", []row{{1, []string{"a", "b", "c,d"}, ""}, {2, []string{"e", "f", "g"}, ""}}},
		"tab":              {"a\tb\n", []row{{1, []string{"a", "b"}, ""}}},
		"quoted separator": {"\"a;b;c\",d\n", []row{{1, []string{"a;b;c", "d"}, ""}}},
		"a list":           {"a\nb\n\n\nc", []row{{1, []string{"a"}, ""}, {2, []string{"b"}, ""}, {5, []string{"c"}, ""}}},
		"byte order mark":  {"\xef\xbb\xbfa;b\n", []row{{1, []string{"a", "b"}, ""}}},
		"empty lines":      {"\r\n\r\na;b\r\n", []row{{3, []string{"a", "b"}, ""}}},
		"ragged":           {"a,b\nc\nd,e,f\n", []row{{1, []string{"a", "b"}, ""}, {2, []string{"c"}, ""}, {3, []string{"d", "e", "f"}, ""}}},
		"lines in a cell":  {"a,\"b\nc\"\nd,e\n", []row{{1, []string{"a", "b\nc"}, ""}, {3, []string{"d", "e"}, ""}}},
		"stray quote":      {"a,b\nc,d\"e\nf,g\n", []row{{1, []string{"a", "b"}, ""}, {2, nil, sheet.ErrQuote.Error()}, {3, []string{"f", "g"}, ""}}},
		"open quote":       {"a,b\nc,\"d\ne,f\n", []row{{1, []string{"a", "b"}, ""}, {2, nil, sheet.ErrQuote.Error()}}},
		"UTF-16":           {"\xff\xfea\x00", []row{{0, nil, sheet.ErrUTF16.Error()}}},
		"nothing":          {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, readAll(t, tt.text), cmp.AllowUnexported(row{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	cell := rapid.StringMatching("[-a-z=+@;,\"'0-9 ]{1,12}")
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.SliceOfN(cell, 2, 4), 1, 5).Draw(t, "rows")
		var file bytes.Buffer
		out := sheet.NewWriter(&file)
		out.Row([]string{"one", "two"})
		for _, cells := range want {
			out.Row(cells)
		}
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
		in, err := sheet.NewReader(&file)
		if err != nil {
			t.Fatal(err)
		}
		for i := -1; i < len(want); i++ {
			_, cells, err := in.Read()
			if err != nil {
				t.Fatal(err)
			}
			if i < 0 {
				continue
			}
			for j, c := range cells {
				if got := sheet.Plain(c); !strings.ContainsAny(want[i][j], ",;'\"") && got != want[i][j] {
					t.Fatalf("%q came back as %q", want[i][j], got)
				}
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add("address;reason\na@b.test;manual\n")
	f.Add("\"a\n")
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, r := range readAll(t, text) {
			if r.line < last {
				t.Errorf("line %d after %d", r.line, last)
			}
			last = r.line
		}
	})
}
