package view

// Operators is the list of operators.
type Operators struct {
	Name, Trouble Field // of the search
	Parent        string
	ParentName    string // shown are those below it, "" for all
	Active        bool   // something is looked for
	Rows          []OperatorRow
	Removals      []Removal
	First, Next   string
	Write         bool
	Short         bool // the search has not looked at all of them
}

// OperatorRow is an operator in the list.
type OperatorRow struct {
	ID, Name, Product    string
	Gateway              string
	States               []State
	ParentID, ParentName string
	Accepted, Ended      string // of the last day
	Platform             bool
}

// Removal is an operator that was deleted.
type Removal struct {
	ID, Name, Since     string
	Messages, Cancelled string
	Finished            string // "" while something is left
}

// OperatorForm makes an operator or changes one.
type OperatorForm struct {
	ID                                                   string // "" for a new one
	Title                                                string
	Problem                                              string
	Name, Product, Contact, Parent, Uncertain, PerMinute Field
	PerDay, Trusted                                      Field
	Names                                                []Name
	Platform                                             bool // it is above all others
}

// Operator is the page of one.
type Operator struct {
	ID, Name             string
	States               []State
	Attention            []Attention
	Facts                []OperatorFact
	ParentID, ParentName string
	Figures              []Figure
	Domains              []OperatorDomain
	Senders              []OperatorSender
	More                 bool        // there are more domains or senders than shown
	Reputation           *Reputation // nil without the built-in gateway
	SuspendAsk           string
	Suspended            bool
	Platform             bool
	Write                bool
	Enter                bool // the reader may sign in as it
}

// OperatorFact is a name and what it stands for.
type OperatorFact struct {
	Label, Value string
	Mono         bool
}

// OperatorDomain is a domain of an operator in short.
type OperatorDomain struct{ Name, State, Label string }

// OperatorSender is a sender of an operator in short.
type OperatorSender struct {
	Address, State, Label string
	Default               bool
}

// DeleteOperator asks before an operator is deleted.
type DeleteOperator struct {
	ID, Name string
	What     []string // what happens
	Confirm  Field
}

func (f OperatorForm) action() string {
	if f.ID == "" {
		return "/platform/operators"
	}
	return "/platform/operators/" + f.ID
}
