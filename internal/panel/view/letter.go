package view

import "strings"

// Letter is a mail to a user about how it signs in.
type Letter struct {
	Lang, Brand, Subject string
	Greeting             string
	Parts                []string // paragraphs
	Link, Button         string   // "" for none
	Valid                string   // until when the link is good
	Note                 string
}

// Text is the letter without HTML.
func (l Letter) Text() string {
	parts := append([]string{l.Greeting}, l.Parts...)
	if l.Link != "" {
		parts = append(parts, l.Link, l.Valid)
	}
	parts = append(parts, l.Note, "-- \n"+l.Brand)
	return strings.Join(parts, "\n\n") + "\n"
}
