package view

import "github.com/a-h/templ"

// Record is a DNS record to publish, what is there instead, and what to do.
type Record struct {
	ID                string // on the page
	Title, Why        string
	Type, Name, Value string // Value is "" while it is not known
	Short             string // of Name, what most DNS panels want
	Verdict, Label    string // "ok", "missing", "wrong", "unknown", and how it is called
	Required          bool
	Found             []string // in zone file form
	Advice            []RecordAdvice
	Servers           string // what only some name servers, or only caches, see
}

// RecordAdvice is one thing to do or to know about a record.
type RecordAdvice struct {
	Level    string // "error", "warning", "note"
	Text     string
	Original string // in the words of the check, which say more; "" if Text says it all
}

// Records are those of a report.
type Records struct {
	List     []Record
	Zone     string // what is still to be published, as lines of a zone file
	HasCNAME bool
}

// right reports whether nothing has to be done about a record; it is shown closed.
func (r Record) right() bool { return r.Verdict == "ok" && r.Servers == "" && !r.urgent() }

func (r Record) urgent() bool {
	for _, a := range r.Advice {
		if a.Level != "note" {
			return true
		}
	}
	return false
}

// state is the verdict as StateClass knows it: what is only recommended is not amiss.
func (r Record) state() string {
	if r.Verdict == "missing" && !r.Required {
		return "recommended"
	}
	return r.Verdict
}

// long makes what may scroll reachable with the keyboard.
func long(text string) templ.Attributes {
	if len(text) > 400 {
		return templ.Attributes{"tabindex": "0"}
	}
	return nil
}

// again are the attributes of a part of a page that asks for itself every so often; ""
// for one that does not.
func again(path, every string) templ.Attributes {
	if every == "" {
		return nil
	}
	return templ.Attributes{"hx-get": path, "hx-trigger": "every " + every, "hx-swap": "outerHTML"}
}

// outOfBand marks a part that replaces the one with its id, whoever asked.
func outOfBand(swap bool) templ.Attributes {
	if !swap {
		return nil
	}
	return templ.Attributes{"hx-swap-oob": "true"}
}
