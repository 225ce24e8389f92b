package locale_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/panel/locale"
	"github.com/waypost/waypost/internal/provider"
)

// keys reads the keys of a language's files with the names that each text fills in.
func keys(t *testing.T, code string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("text/" + code + ".toml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	names := regexp.MustCompile(`\{\{\.(\w+)\}\}`)
	found := map[string]string{}
	for _, file := range files {
		var tree map[string]any
		if _, err := toml.DecodeFile(file, &tree); err != nil {
			t.Fatal(file, err)
		}
		var walk func(prefix string, tree map[string]any)
		walk = func(prefix string, tree map[string]any) {
			for name, v := range tree {
				switch v := v.(type) {
				case map[string]any:
					if _, plural := v["other"]; plural { // forms of one text
						found[prefix+name] = used(names, v["other"].(string))
						continue
					}
					walk(prefix+name+".", v)
				case string:
					if _, twice := found[prefix+name]; twice {
						t.Errorf("%s: %s%s is there twice", file, prefix, name)
					}
					found[prefix+name] = used(names, v)
				}
			}
		}
		walk("", tree)
	}
	return found
}

func used(names *regexp.Regexp, text string) string {
	var list []string
	for _, m := range names.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

func TestEveryLanguageHasEveryText(t *testing.T) {
	english := keys(t, "en")
	for _, l := range locale.Languages() {
		got := keys(t, l.Code)
		for key, names := range english {
			switch theirs, ok := got[key]; {
			case !ok:
				t.Errorf("%s lacks %s", l.Code, key)
			case theirs != names:
				t.Errorf("%s: %s fills in %q, in English %q", l.Code, key, theirs, names)
			}
		}
		for key := range got {
			if _, ok := english[key]; !ok && !englishInGo(key) {
				t.Errorf("%s has %s, which English does not have", l.Code, key)
			}
		}
	}
}

// englishInGo reports whether the English of a key is in Go, and in files that of the other
// languages only.
func englishInGo(key string) bool {
	set, _, _ := strings.Cut(key, ".")
	return set == "advice" || set == "note" || set == "username"
}

func TestEveryOtherLanguageHasAdviceAndNotes(t *testing.T) {
	b, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	english := keys(t, "en")
	for _, l := range locale.Languages() {
		said, here := sayings(b.Locale(l.Code, "")), keys(t, l.Code)
		for key, s := range said {
			_, ok := here[key]
			switch {
			case s.english == "":
				t.Errorf("%s is not in English", key)
			case l.Code == "en":
				if s.text != s.english {
					t.Errorf("%s: %q, in Go %q", key, s.text, s.english)
				}
			case !ok || s.text == s.english:
				t.Errorf("%s lacks %s", l.Code, key)
			case utf8.RuneCountInString(s.text) > 400 || here[key] != "":
				t.Errorf("%s: %s is too long or fills something in: %s", l.Code, key, s.text)
			}
		}
		for key := range here {
			if _, ok := said[key]; englishInGo(key) && !ok {
				t.Errorf("%s has %s, which nothing says", l.Code, key)
			}
		}
	}
	for key := range english {
		if englishInGo(key) {
			t.Errorf("the English of %s is in Go", key)
		}
	}
}

type saying struct{ text, english string }

// sayings are all texts in a language whose English is in Go, by their keys.
func sayings(l *locale.Locale) map[string]saying {
	all := map[string]saying{}
	for _, a := range classify.Advices() {
		all["advice."+a.Code] = saying{l.Advice(a), a.Text}
	}
	for _, n := range provider.Notes() {
		all["note."+string(n)] = saying{l.Note(n), n.Text()}
	}
	for _, p := range provider.All() { // each kind of user name is that of some provider
		all["username."+string(p.Username)] = saying{l.UsernameHelp(p.Username), p.Username.Text()}
	}
	return all
}

func TestAdviceWithoutATranslationShowsInEnglish(t *testing.T) {
	b, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range locale.Languages() {
		if got := b.Locale(l.Code, "").Advice(classify.Advice{Code: "brand_new", Text: "Do this."}); got != "Do this." {
			t.Errorf("%s: %q", l.Code, got)
		}
	}
}

// built are the beginnings of keys that the program puts together from values.
func built() []string {
	return []string{"state.", "domain_advice.", "kind.", "gateway.", "product.", "role.", "flash.", "problem.", "sign_in.", "error.t"}
}

func TestEveryTextIsUsedAndEveryUsedTextIsThere(t *testing.T) {
	english := keys(t, "en")
	var source strings.Builder
	for _, pattern := range []string{"../*.go", "../view/*.templ", "../view/*.go", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_templ.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	text := source.String()
	for _, m := range regexp.MustCompile(`\.[TN]\("([a-z0-9_.]+)"`).FindAllStringSubmatch(text, -1) {
		if _, ok := english[m[1]]; !ok && !strings.HasSuffix(m[1], ".") && !strings.HasSuffix(m[1], "_") {
			t.Errorf("%s is used and in no file", m[1])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(english)) {
		if strings.Contains(text, `"`+key+`"`) || slices.ContainsFunc(built(), func(p string) bool { return strings.HasPrefix(key, p) }) {
			continue
		}
		// A key may be put together: T("nav."+name), T("email.wrong_"+name), Label("state", value).
		set, _, _ := strings.Cut(key, ".")
		joined := strings.Contains(text, `"`+set+`"`)
		for i, c := range key {
			joined = joined || (c == '.' || c == '_') && strings.Contains(text, `"`+key[:i+1]+`"`)
		}
		if joined {
			continue
		}
		t.Errorf("nobody uses %s", key)
	}
}

func TestNumbersAndDatesAreThoseOfTheLanguage(t *testing.T) {
	b, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 4, 23, 6, 7, 0, time.UTC)
	for _, tt := range []struct{ code, zone, number, moment, days string }{
		{"en", "America/New_York", "1,234,567", "Mar 4, 2026 6:06 pm", "5 days"},
		{"es", "Europe/Madrid", "1.234.567", "5 mar. 2026 0:06", "5 días"},
		{"pt", "America/Sao_Paulo", "1.234.567", "4 de mar. de 2026 20:06", "5 dias"},
		{"ru", "Europe/Moscow", "1 234 567", "5 мар. 2026 г. 02:06", "5 дней"},
	} {
		l := b.Locale(tt.code, tt.zone)
		number := strings.NewReplacer("\u00a0", " ", "\u202f", " ").Replace(l.Number(1234567))
		moment := strings.NewReplacer("\u00a0", " ", "\u202f", " ").Replace(l.Moment(at))
		if number != tt.number || moment != tt.moment || l.N("days", 5) != tt.days {
			t.Errorf("%s: %q %q %q", tt.code, number, moment, l.N("days", 5))
		}
	}
	if l := b.Locale("xx", "Nowhere/At_All"); l.Code != "en" || l.Zone != time.UTC || l.Moment(time.Time{}) != "–" {
		t.Errorf("%+v", l)
	}
}

func TestTheLanguageIsWhatThePersonChoseOrTheBrowserWants(t *testing.T) {
	b, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ chosen, accept, want string }{
		{"ru", "es", "ru"}, {"", "es-MX,es;q=0.9,en;q=0.8", "es"}, {"", "pt-BR", "pt"}, {"", "de", "en"}, {"xx", "fr, ru;q=0.1", "ru"}, {"", ";;;", "en"}, {"", "", "en"},
	} {
		if got := b.Match(tt.chosen, tt.accept); got != tt.want {
			t.Errorf("%q, %q: %s", tt.chosen, tt.accept, got)
		}
	}
}
