package locale

import (
	"github.com/nicksnyder/go-i18n/v2/i18n"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/provider"
)

// The English of advice and notes stands in Go, beside what they are about. Files have the
// other languages only: text/advice.<code>.toml.

// Advice is what to do about a failed test mail.
func (l *Locale) Advice(a classify.Advice) string { return l.own("advice."+a.Code, a.Text) }

// Note is something a provider wants that no field of the form says.
func (l *Locale) Note(n provider.Note) string { return l.own("note."+string(n), n.Text()) }

// UsernameHelp says what to enter as user name.
func (l *Locale) UsernameHelp(u provider.Username) string {
	return l.own("username."+string(u), u.Text())
}

// own is the text that the language itself has for a key, else the English one given.
func (l *Locale) own(key, english string) string {
	text, err := l.texts.Localize(&i18n.LocalizeConfig{MessageID: key})
	if err != nil { // there is none, or it is that of the default language
		return english
	}
	return text
}
