package view

// Reputation is how the built-in gateway treats an operator's mail.
type Reputation struct {
	State   State
	Text    string // what that means, and what to do
	Facts   []OperatorFact
	Path    string // where it is lifted, "" for nothing to lift, or not by the reader
	LiftAsk string
}
