package view

// Domains is the page of an operator's domains and senders.
type Domains struct {
	Write   bool
	Now     Now
	Steps   []Step
	Domains []DomainRow
	Claim   Field
	Problem string // with the whole form, "" for none
	Sandbox bool   // there is nothing to claim

	Senders     []SenderRow
	OwnServer   bool // mail leaves over the operator's own server
	Add         SenderForm
	First, Next string // pages of senders
}

// Now says what mail leaves as.
type Now struct {
	Kind  string // of the alert: "success", "info", "warning"
	Text  string
	Path  string // where to change it, "" for nowhere
	Label string
}

// Step is one of the three.
type Step struct {
	Number       string
	Title, Text  string
	State, Label string // "done", "now", "later", and how it is called
}

// class is the look of a step.
func (s Step) class() string {
	switch s.State {
	case "done":
		return "bg-green-lt"
	case "now":
		return "bg-blue-lt"
	default:
		return "bg-secondary-lt"
	}
}

// DomainRow is a domain in a list.
type DomainRow struct {
	ID, Name string
	Unicode  string // the name as people write it, "" if that is Name
	State    string
	Label    string
	Right    string // "4 of 5 records"
	Checked  string
}

// SenderRow is a sender in a list.
type SenderRow struct {
	ID, Address, Name string
	State, Label      string
	About             string // what that means
	Path, PathLabel   string // where something can be done about it, "" for nowhere
	Default           bool
	CanBeDefault      bool
}

// SenderForm adds a sender.
type SenderForm struct {
	Address, Name, Default Field
	Problem                string
}

// Domain is the page of one domain.
type Domain struct {
	ID, Name, Unicode string
	Write             bool
	Problem           string // why what was asked for was not done, "" for none
	Live              DomainLive
	Link              LinkForm
	Question          string // before it is given up
	History           []HistoryEntry
	First, Next       string // pages of the history
}

// DomainLive is what changes while somebody looks.
type DomainLive struct {
	Path         string // that it comes from
	Every        string // how soon to ask again
	State, Label string
	Kind         string // of the summary: "success", "info", "warning"
	Summary      string
	Right        string
	Checked      string
	Changed      bool // since who asks has seen it
	Records      Records
}

// LinkForm makes a link for whoever runs the DNS.
type LinkForm struct {
	Days    Field
	URL     string // the one that was made, "" before
	Expires string
}

// HistoryEntry is a fact about a domain.
type HistoryEntry struct {
	At, Text, By string
}

// Sender is the page of one sender.
type Sender struct {
	Row      SenderRow
	Write    bool
	Name     Field
	Question string
}
