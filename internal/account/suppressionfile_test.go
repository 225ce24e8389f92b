package account_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/sheet"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// imports imports a text and fails the test if it cannot be read.
func (w *world) imports(t testing.TB, operatorID, text string, how account.SuppressionImport) account.ImportReport {
	t.Helper()
	got, err := w.ImportSuppressions(t.Context(), waypost.CommandLine(), operatorID, strings.NewReader(text), how)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// entries lists an operator's suppressions as "address reason kind days", days being those
// until it ends.
func (w *world) entries(t testing.TB, operatorID string) (list []string) {
	t.Helper()
	for cursor := ""; ; {
		found, next, err := w.Suppressions(t.Context(), operatorID, store.SuppressionFilter{}, cursor, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range found {
			days := "never"
			if !n.Expires.IsZero() {
				days = fmt.Sprint(int((time.Until(n.Expires) + time.Hour).Hours() / 24))
			}
			list = append(list, strings.Join([]string{n.Address, string(n.Reason), string(n.Kind), days}, " "))
		}
		if cursor = next; next == "" {
			return list
		}
	}
}

func TestSuppressionsAreImportedFromFilesOfAllSorts(t *testing.T) {
	for name, tt := range map[string]struct {
		text   string
		reason waypost.SuppressionReason
		want   []string
	}{
		"a plain list":        {"A@x.example\nb@x.example\n\nc@x.example", "", []string{"a@x.example manual  never", "b@x.example manual  never", "c@x.example manual  never"}},
		"a list for a reason": {"a@x.example\r\n", waypost.SuppressedUnsubscribe, []string{"a@x.example unsubscribe  365"}},
		"in order": {
			"a@x.example,hard_bounce,,does not exist\nb@x.example;\nc@x.example,unsubscribe,report,,2999-01-31\n", "",
			[]string{"a@x.example hard_bounce  7", "c@x.example unsubscribe report 3"},
		},
		"named": {"Expires;Type;EMAIL;anything\nnever;Spam Report;a@x.example;1\n", "", []string{"a@x.example complaint  never"}},
		"a byte order mark and quotes": {
			"\xef\xbb\xbf\"address\",\"reason\",\"detail\"\r\n\"a@x.example\",\"manual\",\"asked, by phone\"\r\n", "", []string{"a@x.example manual  never"},
		},
		"guarded against formulas": {"address,reason\n'+a@x.example,manual\n", "", []string{"+a@x.example manual  never"}},
		"of another provider": {
			"email,type,created\na@x.example,bounce,1\nb@x.example,spam,1\nc@x.example,Unsubscribed,1\n", "",
			[]string{"a@x.example hard_bounce  7", "b@x.example complaint  365", "c@x.example unsubscribe  365"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.operator(t, waypost.ProductServermate)
			try := w.imports(t, id, tt.text, account.SuppressionImport{Reason: tt.reason, Try: true})
			if got := w.entries(t, id); len(got) > 0 {
				t.Errorf("trying changed something: %v", got)
			}
			got := w.imports(t, id, tt.text, account.SuppressionImport{Reason: tt.reason})
			if diff := cmp.Diff(try, got); diff != "" {
				t.Errorf("it is not what trying said: %s", diff)
			}
			list := w.entries(t, id)
			for i := range list {
				if strings.HasPrefix(list[i], "c@x.example unsubscribe report") { // centuries
					list[i] = "c@x.example unsubscribe report 3"
				}
			}
			if diff := cmp.Diff(tt.want, list); diff != "" {
				t.Error(diff)
			}
			again := w.imports(t, id, tt.text, account.SuppressionImport{Reason: tt.reason})
			if again.Added+again.Renewed != 0 || again.Unchanged != got.Added {
				t.Errorf("once more: %+v", again)
			}
			if got.Added > 0 && !w.get(t, id).Suppressions {
				t.Error("this process does not know that there are any now")
			}
		})
	}
}

func TestRowsThatCannotBeAreRefusedAndTheOthersKept(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	if err := w.AddExempt(t.Context(), waypost.CommandLine(), id, "boss@x.example"); err != nil {
		t.Fatal(err)
	}
	got := w.imports(t, id, `address,reason,kind,detail,expires
a@x.example,manual,event,"two
lines",
nobody,manual
b@x.example,moon,,,
c@x.example,soft_bounce,,,
d@x.example,manual,parcel,,
e@x.example,manual,,,tomorrow
f@x.example,manual,,,2001-01-01
boss@x.example,hard_bounce
boss@x.example,unsubscribe
g@x.example,ma"nual
a@x.example,manual,event
a@x.example,manual,all
`, account.SuppressionImport{})
	var lines []string
	for _, p := range got.Problems {
		if p.Message == "" {
			t.Errorf("%+v", p)
		}
		lines = append(lines, fmt.Sprintf("%d %s %s", p.Line, p.Code, p.Text))
	}
	if diff := cmp.Diff([]string{
		"4 address nobody", "5 reason moon", "6 reason soft_bounce", "7 kind parcel", "8 expires tomorrow", "9 past 2001-01-01", "10 exempt boss@x.example", "12 quote ",
	}, lines); diff != "" {
		t.Error(diff)
	}
	if got.Rows != 12 || got.Added != 3 || got.Unchanged != 1 || got.Refused != 8 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]string{"a@x.example manual  never", "a@x.example manual event never", "boss@x.example unsubscribe  365"}, w.entries(t, id)); diff != "" {
		t.Error(diff)
	}
	log, err := w.store.AuditLog(t.Context(), id, "", 1)
	if err != nil || log[0].Action != "suppression.import" || log[0].Detail.String() != "4 rows, 7 refused" {
		t.Errorf("%+v, %v", log, err)
	}
}

func TestAnImportEndsNothingEarlier(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	w.imports(t, id, "a@x.example,manual,,,never\nb@x.example,unsubscribe,,,2999-01-01\n", account.SuppressionImport{})
	before := w.entries(t, id)
	got := w.imports(t, id, "a@x.example,manual,,,2998-01-01\nb@x.example,unsubscribe,,,\n", account.SuppressionImport{})
	if diff := cmp.Diff(before, w.entries(t, id)); diff != "" || got.Unchanged != 2 {
		t.Errorf("%+v %s", got, diff)
	}
	if got := w.imports(t, id, "b@x.example,unsubscribe,,,never\n", account.SuppressionImport{}); got.Renewed != 1 {
		t.Errorf("%+v", got)
	}
}

func TestFilesThatAreNoneAreRefusedAsAWhole(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	for name, tt := range map[string]struct {
		text string
		kind waypost.ErrorKind
	}{
		"no column for addresses": {"reason,kind\nmanual,event\n", waypost.Invalid},
		"UTF-16":                  {"\xff\xfea\x00@\x00b\x00", waypost.Invalid},
		"too many bytes":          {strings.Repeat("x", account.MaxImportSize) + "\n", waypost.TooLarge},
		"too many rows":           {strings.Repeat("a@x.example\n", 50_001), waypost.TooLarge},
	} {
		_, err := w.ImportSuppressions(t.Context(), waypost.CommandLine(), id, strings.NewReader(tt.text), account.SuppressionImport{})
		if waypost.KindOf(err) != tt.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.ImportSuppressions(t.Context(), waypost.CommandLine(), waypost.PlatformOperatorID, strings.NewReader("a@x.example\n"), account.SuppressionImport{}); waypost.KindOf(err) != waypost.Conflict {
		t.Errorf("for the platform: %v", err)
	}
	if got := w.entries(t, id); len(got) > 0 {
		t.Errorf("kept: %v", got)
	}
	failing := errors.New("the line is cut")
	if _, err := w.ImportSuppressions(t.Context(), waypost.CommandLine(), id, &broken{failing}, account.SuppressionImport{}); !errors.Is(err, failing) {
		t.Errorf("%v", err)
	}
}

type broken struct{ err error }

// Read implements io.Reader.
func (b *broken) Read([]byte) (int, error) { return 0, b.err }

func TestWhatIsExportedIsImportedElsewhere(t *testing.T) {
	w := newWorld(t)
	from, to := w.operator(t, waypost.ProductServermate), w.operator(t, waypost.ProductServermate)
	var text strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&text, "user%04d@x.example,%s,%s,\"=SUM(%d); a note\",%s\n", i, []string{"manual", "unsubscribe", "complaint"}[i%3], []string{"", "event"}[i%2], i, []string{"never", "2999-01-31"}[i%2])
	}
	if got := w.imports(t, from, text.String(), account.SuppressionImport{}); got.Added != 2500 {
		t.Fatalf("%+v", got)
	}
	var file bytes.Buffer
	pages := 0
	if err := w.ExportSuppressions(t.Context(), from, store.SuppressionFilter{}, sheet.NewWriter(&file), func() { pages++ }); err != nil {
		t.Fatal(err)
	}
	if pages != 3 || strings.Contains(file.String(), ",=SUM") || strings.Contains(file.String(), ",\"=SUM") {
		t.Errorf("%d pages: %.300s", pages, file.String())
	}
	if got := w.imports(t, to, file.String(), account.SuppressionImport{}); got.Added != 2500 || got.Refused != 0 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(w.entries(t, from), w.entries(t, to)); diff != "" {
		t.Error(diff)
	}
	file.Reset()
	if err := w.ExportSuppressions(t.Context(), from, store.SuppressionFilter{Address: "user0001@x.example"}, sheet.NewWriter(&file), func() {}); err != nil || strings.Count(file.String(), "\r\n") != 2 {
		t.Errorf("%q, %v", file.String(), err)
	}
}

func FuzzImport(f *testing.F) {
	for _, seed := range []string{
		"a@x.example\n", "address;reason\na@x.example;manual\n", "\xef\xbb\xbfa@x.example,hard_bounce,event,\"x\",never\r\n", "\"", "email\ta\n=@+\t'\n", "a@x.example,,,,9999-12-31",
	} {
		f.Add(seed)
	}
	w := newWorld(f)
	id := w.operator(f, waypost.ProductServermate)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := w.ImportSuppressions(t.Context(), waypost.CommandLine(), id, strings.NewReader(text), account.SuppressionImport{Try: true})
		if err != nil {
			if kind := waypost.KindOf(err); kind != waypost.Invalid && kind != waypost.TooLarge {
				t.Error(err)
			}
			return
		}
		if got.Rows != got.Added+got.Renewed+got.Unchanged+got.Refused {
			t.Errorf("%+v", got)
		}
	})
}
