package view

// Overview is an operator's first page.
type Overview struct {
	Attention []Attention
	Now       OverviewNow
	Stats     []Figure // of the period
	Chart     Chart
	Balance   Balance
	Last      []MessageRow
	Empty     bool // nothing was ever sent
	Write     bool
}

// OverviewNow is how things stand at this moment; it is looked at again and again.
type OverviewNow struct {
	Poll    string // path of this part
	Figures []Figure
	Gateway GatewayHealth
}

// Figure is a number with its name.
type Figure struct{ Label, Value, Hint, Path string }

// GatewayHealth is whether mail leaves.
type GatewayHealth struct {
	Name  string // of the gateway in use
	State string // "ok" or why not, as StateClass knows it
	Label string
	Why   string // the remote's own words, "" for none
	Path  string // where to see to it
}

// Attention is something to see to.
type Attention struct {
	Kind        string // of an alert
	Title, Text string
	Quote       string // raw words of a server or a person, "" for none
	Path, Link  string // where to see to it; "" for nowhere
}

// Balance is what became of everything that was ever accepted: the parts make the sum.
type Balance struct {
	Sum   string
	Parts []Part
}

// Part is one part of a sum.
type Part struct{ State, Label, Value string }
