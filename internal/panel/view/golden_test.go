package view_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/panel/locale"
	"github.com/waypost/waypost/internal/panel/view"
)

var update = flag.Bool("update", false, "rewrite the golden files") //nolint:gochecknoglobals // a flag of the test

// hostile is what people with bad intentions type.
const hostile = `"><script>alert(1)</script>'&lt; ` + "\u202Egnp.exe"

// frame is the page that golden files are rendered for.
func frame(t testing.TB) view.Page {
	t.Helper()
	b, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	return view.Page{
		Locale: b.Locale("en", "UTC"), Title: "Title", Brand: view.Brand{Name: "Fleetmail"}, Theme: "auto", Path: "/overview",
		Asset: func(name string) string { return "/static/hash/" + name },
	}
}

// moment is when everything in golden files happened.
func moment() time.Time { return time.Date(2026, 3, 4, 15, 6, 7, 0, time.UTC) }

// render is what a component makes.
func render(t *testing.T, c templ.Component) string {
	t.Helper()
	var out bytes.Buffer
	if err := c.Render(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// golden compares what a component renders with testdata/<name>.html.
func golden(t *testing.T, name string, c templ.Component) {
	t.Helper()
	compare(t, name, render(t, c))
}

// named is a text with the names of words without end instead of them.
func named(text string) string {
	for _, letter := range []string{"W", "x"} {
		text = strings.ReplaceAll(text, strings.Repeat(letter, long), "[10000×"+letter+"]")
	}
	return text
}

// compare compares HTML with testdata/<name>.html. Each element is on a line of its own, so
// that a difference can be read; words without end are only named, and so is the mark that
// would make the file itself read otherwise than it is.
func compare(t *testing.T, name, got string) {
	t.Helper()
	if strings.Contains(got, "<script>alert") {
		t.Errorf("%s: a script gets through", name)
	}
	if strings.Contains(got, " style=") {
		t.Errorf("%s: an inline style, which the content security policy forbids", name)
	}
	got = strings.ReplaceAll(named(got), "\u202E", "[U+202E]")
	got = strings.ReplaceAll(got, "><", ">\n<") + "\n"
	file := filepath.Join("testdata", name+".html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run go test ./internal/panel/view -update and read the file", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s: run go test ./internal/panel/view -update and read the diff:\n%s", name, diff)
	}
}

func TestTheFrameOfAPage(t *testing.T) {
	p := frame(t)
	golden(t, "frame-signed-out", view.Layout(p, view.Title("Hello")))
	p.Nav = []view.Section{{Title: hostile, Links: []view.Link{{Path: "/overview", Label: "Overview"}, {Path: "/platform/requests", Label: "Requests", Count: 1234}}}}
	p.User, p.Acting, p.Flash = hostile, hostile, "Saved."
	golden(t, "frame-signed-in", view.Layout(p, view.Error(p, 500, hostile, "ABC123")))
}

func TestTheFieldsOfAForm(t *testing.T) {
	f := view.Field{Name: "host", Label: "Host", Value: hostile, Hint: "A name", Error: hostile, Required: true, Options: []view.Option{
		{Value: hostile, Label: hostile, Hint: hostile, Fill: `{"port":"25"}`}, {Value: "b", Label: "B", Disabled: true},
	}}
	for name, c := range map[string]templ.Component{
		"input": view.Input(f), "text": view.Text(f), "select": view.Select(f), "check": view.Check(f), "radios": view.Radios(f),
	} {
		golden(t, "field-"+name, c)
	}
}
