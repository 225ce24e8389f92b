// Package locale has the panel's texts in every language, and writes dates and numbers
// as people of that language do.
//
// A language is one file, text/<code>.toml. Whatever is missing in one shows in English; a
// test says what is missing, and what nobody uses.
package locale

import (
	"embed"
	"fmt"
	"slices"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/go-playground/locales"
	"github.com/go-playground/locales/en"
	"github.com/go-playground/locales/es"
	"github.com/go-playground/locales/pt"
	"github.com/go-playground/locales/ru"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed text/*.toml
var texts embed.FS

// Language is one the panel speaks.
type Language struct {
	Code string // "en"
	Name string // in itself: "English"
}

// Languages lists them, the first being the one for everybody else.
func Languages() []Language {
	return []Language{{"en", "English"}, {"es", "Español"}, {"pt", "Português"}, {"ru", "Русский"}}
}

// Bundle holds the texts of all languages. It is safe for concurrent use.
type Bundle struct {
	bundle  *i18n.Bundle
	numbers map[string]locales.Translator
	matcher language.Matcher
}

// Load reads the texts. The error is that of a file that does not parse.
func Load() (*Bundle, error) {
	b := &Bundle{
		bundle:  i18n.NewBundle(language.English),
		numbers: map[string]locales.Translator{"en": en.New(), "es": es.New(), "pt": pt.New(), "ru": ru.New()},
	}
	b.bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	var tags []language.Tag
	for _, l := range Languages() {
		if err := b.load(l.Code); err != nil {
			return nil, err
		}
		tags = append(tags, language.MustParse(l.Code))
	}
	b.matcher = language.NewMatcher(tags)
	return b, nil
}

func (b *Bundle) load(code string) error {
	if _, err := b.bundle.LoadMessageFileFS(texts, "text/"+code+".toml"); err != nil {
		return fmt.Errorf("texts: %w", err)
	}
	return nil
}

// Known reports whether a code is that of a language.
func Known(code string) bool {
	return slices.ContainsFunc(Languages(), func(l Language) bool { return l.Code == code })
}

// Match returns the language for a person who has chosen one, "" for none, and whose
// browser sends accept (RFC 9110 section 12.5.4).
func (b *Bundle) Match(chosen, accept string) string {
	if Known(chosen) {
		return chosen
	}
	tags, _, _ := language.ParseAcceptLanguage(accept) // what cannot be read is no wish
	_, i, _ := b.matcher.Match(tags...)
	return Languages()[i].Code
}

// Locale writes for people of one language in one time zone.
type Locale struct {
	Code string
	Zone *time.Location

	texts   *i18n.Localizer
	english *i18n.Localizer
	numbers locales.Translator
}

// Locale returns that of a language and a zone of the IANA database; one that does not
// exist is UTC.
func (b *Bundle) Locale(code, zone string) *Locale {
	if !Known(code) {
		code = Languages()[0].Code
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "" || zone == "Local" {
		location = time.UTC
	}
	return &Locale{
		Code: code, Zone: location, texts: i18n.NewLocalizer(b.bundle, code), english: i18n.NewLocalizer(b.bundle, "en"), numbers: b.numbers[code],
	}
}

// T is the text of a key. Pairs of names and values fill in what it leaves open:
// T("senders.added", "Address", a). A key that is in no file shows itself.
func (l *Locale) T(key string, pairs ...any) string {
	text, err := l.texts.Localize(&i18n.LocalizeConfig{MessageID: key, TemplateData: fill(pairs)})
	if err != nil && text == "" {
		return key
	}
	return text
}

// Label is the text for a value of a set: Label("state", "queued"). A value without one
// shows itself.
func (l *Locale) Label(set, value string) string {
	key := set + "." + value
	if value == "other" || value == "id" { // words that go-i18n keeps for itself
		key += "_"
	}
	if !l.Has(key) {
		return value
	}
	return l.T(key)
}

// Has reports whether there is a text for a key.
func (l *Locale) Has(key string) bool {
	_, err := l.english.Localize(&i18n.LocalizeConfig{MessageID: key})
	return err == nil
}

// N is the text of a key for a number, which it may use as {{.Count}}.
func (l *Locale) N(key string, n int64, pairs ...any) string {
	data := fill(pairs)
	data["Count"] = l.Number(n)
	text, err := l.texts.Localize(&i18n.LocalizeConfig{MessageID: key, PluralCount: n, TemplateData: data})
	if err != nil && text == "" {
		return key
	}
	return text
}

func fill(pairs []any) map[string]any {
	data := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		data[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return data
}

// Number writes a whole number.
func (l *Locale) Number(n int64) string { return l.numbers.FmtNumber(float64(n), 0) }

// Percent writes a share of 0 to 1 with one decimal.
func (l *Locale) Percent(share float64) string { return l.numbers.FmtPercent(share*100, 1) }

// FinePercent is Percent for small shares: 0.05 %.
func (l *Locale) FinePercent(share float64) string { return l.numbers.FmtPercent(share*100, 2) }

// Date writes a day.
func (l *Locale) Date(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return l.numbers.FmtDateMedium(t.In(l.Zone))
}

// Clock writes a time of day to the second.
func (l *Locale) Clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return l.numbers.FmtTimeMedium(t.In(l.Zone))
}

// Moment writes a day and a time of day to the minute.
func (l *Locale) Moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	t = t.In(l.Zone)
	return l.numbers.FmtDateMedium(t) + " " + l.numbers.FmtTimeShort(t)
}

// Exactly writes a moment with seconds and zone, for where there is room or doubt.
func (l *Locale) Exactly(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	t = t.In(l.Zone)
	return l.numbers.FmtDateMedium(t) + " " + l.numbers.FmtTimeMedium(t) + " " + t.Format("MST")
}

// Took writes how long something took: "230 ms", "1.4 s", "3 min", "2 h".
func (l *Locale) Took(d time.Duration) string {
	switch {
	case d < time.Second:
		return l.Number(d.Milliseconds()) + " " + l.T("unit.ms")
	case d < 10*time.Second:
		return l.numbers.FmtNumber(d.Seconds(), 1) + " " + l.T("unit.s")
	case d < 2*time.Minute:
		return l.Number(int64(d.Seconds())) + " " + l.T("unit.s")
	case d < 2*time.Hour:
		return l.Number(int64(d.Minutes())) + " " + l.T("unit.min")
	case d < 48*time.Hour:
		return l.Number(int64(d.Hours())) + " " + l.T("unit.h")
	default:
		return l.N("days", int64(d.Hours()/24))
	}
}

// Size writes a number of bytes.
func (l *Locale) Size(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return l.Number(bytes) + " " + l.T("unit.byte")
	case bytes < 1<<20:
		return l.numbers.FmtNumber(float64(bytes)/(1<<10), 1) + " " + l.T("unit.kib")
	default:
		return l.numbers.FmtNumber(float64(bytes)/(1<<20), 1) + " " + l.T("unit.mib")
	}
}
