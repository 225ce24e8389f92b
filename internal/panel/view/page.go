// Package view has the components of the pages: plain values in, HTML out. Nothing here
// reads or decides; texts come from the locale.
package view

import (
	"github.com/a-h/templ"

	"github.com/waypost/waypost/internal/panel/locale"
)

// Brand is the platform's name and look.
type Brand struct {
	Name    string
	Logo    string // address of an image, "" for the name in letters
	Color   string // "#1d4ed8", "" for the usual
	HelpURL string // "" for none
}

// Page is what is around a page's content.
type Page struct {
	*locale.Locale
	Title  string
	Brand  Brand
	Asset  func(name string) string // its address
	Theme  string                   // "auto", "light" or "dark"
	Nav    []Section
	Path   string // of the page, for the navigation
	User   string // who is signed in, "" for nobody
	Acting string // name of the operator that staff is signed in as, "" for none
	Flash  string // a text about what was just done, "" for nothing
	Bad    bool   // it is bad news
}

// Section is a part of the navigation.
type Section struct {
	Title string // "" for none
	Links []Link
}

// Link is one entry of the navigation.
type Link struct {
	Path  string
	Label string
	Count int64 // shown beside it, 0 for nothing
}

// current reports whether a link leads to the page or to what it is part of.
func (p Page) current(l Link) bool {
	return p.Path == l.Path || len(p.Path) > len(l.Path) && p.Path[:len(l.Path)] == l.Path && p.Path[len(l.Path)] == '/' && l.Path != "/platform"
}

// Field is a field of a form.
type Field struct {
	Name     string
	Label    string
	Value    string
	Hint     string
	Error    string
	Type     string // of the input; "" for text
	Auto     string // autocomplete
	Required bool
	Options  []Option // of a select or of radio buttons
	Rows     int      // of a textarea
	Disabled bool
	Max      int // longest value in characters, 0 for no bound
	Mode     string
	Mono     bool
	Wide     bool
}

// Option is a choice.
type Option struct {
	Value, Label, Hint string
	Selected, Disabled bool
	Fill               string // JSON: values of other fields that the choice fills in
}

// checked reports whether a checkbox is.
func (f Field) checked() bool { return f.Value == "true" || f.Value == "on" }

func (f Field) kind() string {
	if f.Type == "" {
		return "text"
	}
	return f.Type
}

// described names what explains a field to who cannot see the page.
func (f Field) described() string {
	switch {
	case f.Error != "" && f.Hint != "":
		return f.Name + "-error " + f.Name + "-hint"
	case f.Error != "":
		return f.Name + "-error"
	case f.Hint != "":
		return f.Name + "-hint"
	}
	return ""
}

func (f Field) class(base string) string {
	if f.Error != "" {
		base += " is-invalid"
	}
	if f.Mono {
		base += " font-monospace"
	}
	return base
}

func (f Field) attributes() templ.Attributes {
	a := templ.Attributes{}
	if d := f.described(); d != "" {
		a["aria-describedby"] = d
	}
	if f.Error != "" {
		a["aria-invalid"] = "true"
	}
	if f.Auto != "" {
		a["autocomplete"] = f.Auto
	}
	if f.Required {
		a["required"] = true
	}
	if f.Disabled {
		a["disabled"] = true
	}
	if f.Max > 0 {
		a["maxlength"] = f.Max
	}
	if f.Mode != "" {
		a["inputmode"] = f.Mode
	}
	return a
}

func (o Option) attributes() templ.Attributes {
	a := templ.Attributes{}
	if o.Fill != "" {
		a["data-fill"] = o.Fill
	}
	return a
}

// StateClass is the look of a delivery's state.
func StateClass(state string) string {
	switch state {
	case "delivered", "assigned", "authorized", "ok", "active", "healthy":
		return "bg-green-lt"
	case "bounced", "rejected", "failing", "wrong", "error":
		return "bg-red-lt"
	case "expired", "uncertain", "suspended", "missing", "warning", "requested":
		return "bg-orange-lt"
	case "queued", "proven":
		return "bg-blue-lt"
	default:
		return "bg-secondary-lt"
	}
}
