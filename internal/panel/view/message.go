package view

import "github.com/a-h/templ"

// Message is the page of one message.
type Message struct {
	Subject   string
	Test      bool
	Problem   string // why what was asked for did not happen
	Facts     []Property
	Live      MessageLive
	Mail      *Mail // nil: NoContent says why
	NoContent string
	Resend    *Resend // nil: not offered
}

// MessageLive is what became of a message so far.
type MessageLive struct {
	Path       string // of this part as it will be, "" once nothing changes by itself
	Seen       string // stands for what is shown
	States     []State
	Count      int
	Deliveries []Delivery
	Action     string   // path that actions on all are sent to
	Actions    []Action // on all, if there are several
	First      string   // path to the first recipients, "" if these are they
	Next       string   // path to more, "" at the end
}

// Delivery is a recipient of a message.
type Delivery struct {
	To      string
	State   State
	Open    bool
	Held    bool
	Short   string // what it waits for, in a few words
	Waiting string // and in a sentence
	Words   string // of the other side, about that
	Fix     string // path to where it can be changed
	Expires string
	Steps   []TimelineStep
	Action  string // path that actions are sent to
	Actions []Action
}

// Action is something that may be asked for.
type Action struct {
	Name, Label, Class string
	Ask                string // the question before it is done, "" for none
}

// TimelineStep is something that happened.
type TimelineStep struct {
	When, Class, Title, By string
	Facts                  []Property
	Reply                  string
	Advice                 string
}

// Resend is the form for handing a mail over once more.
type Resend struct {
	Path, Key string
	Open      bool
	To        Field
}

// polling makes a part of a page ask for itself.
func polling(path string) templ.Attributes {
	if path == "" {
		return nil
	}
	return templ.Attributes{"hx-get": path, "hx-trigger": "every 3s", "hx-swap": "outerHTML"}
}

// stateWords are states for who does not see their badges.
func stateWords(states []State) string {
	words := ""
	for _, s := range states {
		if words != "" {
			words += ", "
		}
		words += s.Label
	}
	return words
}
