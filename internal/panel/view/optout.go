package view

// OptOut is a page behind the link by which people unsubscribe. Who they are knows the
// operator, not the platform: its brand is not on it.
type OptOut struct {
	Operator string // "" where that is not to be told
	Text     string
	Action   string // path to send the word to, "" for no such button
	Back     string // path to take it back, "" for no such button
	Test     string // a remark about the mail, "" for none
}
