package view

// Nodes is the page about processes and what they run on.
type Nodes struct {
	Poll   string
	Nodes  []NodeRow
	Self   []OperatorFact // of the process that answers
	Health []Health
}

// NodeRow is a process.
type NodeRow struct {
	Name, Incarnation, Started, Quiet string
	State, Label                      string
	Here                              bool
}

// Health is one thing that is well or not.
type Health struct{ Label, State, Value, Text string }
