package view

// Messages is the list of an operator's messages.
type Messages struct {
	Search   MessageSearch
	Rows     []MessageRow
	Notes    []string // about what the search looked at
	Continue string   // path to where the search goes on, "" at the end
	First    string   // path to the newest, "" if it is this page
	CSV      string   // path of the export
}

// MessageSearch is the form above the list.
type MessageSearch struct {
	Recipient, Subject, Kind, State, Period, From, To, Tag Field
	Batch                                                  string
	Active                                                 bool // something is looked for
	Wrong                                                  bool
}

// MessageRow is a message in the list.
type MessageRow struct {
	Path    string
	At      string
	To      string
	More    string // "+3", "" for a single recipient
	Subject string
	Plain   bool // Subject is words of ours
	Kind    string
	Test    bool
	States  []State
	Why     string // what it waits for
}

// State is one of a delivery, for people.
type State struct{ State, Label string }
