package view_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/a-h/templ"

	"github.com/waypost/waypost/internal/panel/locale"
	"github.com/waypost/waypost/internal/panel/view"
)

// long is how long a word may be that somebody types to see what breaks.
const long = 10_000

// filling sets every field of what a component takes, so that none is forgotten, not even
// one that is added next year.
type filling struct {
	text func(of string, i int) string // for the field "MessageRow.Subject" of the i-th row
	yes  bool                          // what booleans are; the second row has the opposite
}

// hostileText ends attributes, text areas and titles, runs right to left, turns round what
// follows it, and does not break. It names its field, so that a golden file tells which it is.
func hostileText(of string, _ int) string {
	if of == "TOTPSetup.Secret" { // of 32 letters, and nobody's to choose
		return "ABCDEFGHIJKLMNOP"
	}
	return `"' onfocus=alert(1) x="></title></textarea><script>alert(1)</script>&lt; ` + "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u202Eexe.gpj " + of + " " + strings.Repeat("W", long)
}

// tameText is as long, and has nothing that means something in HTML.
func tameText(of string, i int) string {
	text := []byte(hostileText(of, i))
	for n, c := range text {
		if c >= unicode.MaxASCII || strings.IndexByte("<>&\"'; ()=/", c) >= 0 {
			text[n] = 'b'
		}
	}
	return string(text)
}

// scriptAddress is what must not become the address of a link.
func scriptAddress(of string, _ int) string { return "javascript:alert(1)//" + of }

// fill sets v. Of is the field that it is the value of, i the row that it is in.
func (f filling) fill(t *testing.T, v reflect.Value, of string, i int) {
	t.Helper()
	yes := f.yes != (i == 1)
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(moment()))
		return
	case *locale.Locale, func(string) string: // of the page: what the test renders with
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.text(of, i))
	case reflect.Bool:
		v.SetBool(yes)
	case reflect.Int, reflect.Int64:
		v.SetInt(1234567)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(t, v.Elem(), of, i)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for row := range 2 {
			f.fill(t, v.Index(row), of, row)
		}
	case reflect.Array:
		for n := range v.Len() {
			f.fill(t, v.Index(n), of, i)
		}
	case reflect.Interface: // a component within
		v.Set(reflect.ValueOf(view.Title(f.text(of, i))))
	case reflect.Struct:
		in := v.Type().Name()
		if in == "Field" || in == "" { // as the field that it is of
			in = of
		}
		for n := range v.NumField() {
			if name := v.Type().Field(n); name.IsExported() {
				f.fill(t, v.Field(n), in+"."+name.Name, i)
			}
		}
	default:
		t.Fatalf("%s: the test does not know how to fill a %s", of, v.Type())
	}
}

// nothing leaves everything empty but what a form has before anybody types: names and labels.
func nothing(v reflect.Value, of string) {
	if v.Kind() != reflect.Struct {
		return
	}
	if f, ok := reflect.TypeAssert[*view.Field](v.Addr()); ok {
		f.Name, f.Label = snake(of), words(of)
		return
	}
	for n := range v.NumField() {
		if name := v.Type().Field(n); name.IsExported() && v.Field(n).Kind() == reflect.Struct {
			nothing(v.Field(n), name.Name)
		}
	}
}

// arguments are those of the component of a name: filled, or empty without a filling. The
// page is p in any case, so that there are texts.
func arguments(t *testing.T, name string, component any, p view.Page, f *filling) []reflect.Value {
	t.Helper()
	var list []reflect.Value
	for i := range reflect.TypeOf(component).NumIn() {
		in := reflect.TypeOf(component).In(i)
		v := reflect.New(in).Elem()
		switch {
		case in == reflect.TypeFor[view.Page]():
			v.Set(reflect.ValueOf(p))
			if f != nil {
				f.fill(t, v, "Page", 0)
			}
		case f != nil:
			f.fill(t, v, fmt.Sprintf("%s.%d", name, i), 0)
		case in == reflect.TypeFor[templ.Component]():
			v.Set(reflect.ValueOf(templ.NopComponent))
		default:
			nothing(v, in.Name())
		}
		list = append(list, v)
	}
	return list
}

// words are the name of a field as people write it: "Parent name".
func words(name string) string {
	name = name[strings.LastIndexByte(name, '.')+1:]
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) && !unicode.IsUpper(rune(name[i-1])) {
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

func snake(name string) string { return strings.ToLower(strings.ReplaceAll(words(name), " ", "_")) }
