package view

// Requests are what waits for the platform's support.
type Requests struct {
	Write       bool
	Automatic   bool // senders are assigned without anybody's approval
	Senders     []RequestRow
	First, Next string
	Upstream    bool // keys of domains come from the platform's upstream
	Keys        []KeyRow
	FirstKey    string
	NextKey     string
}

// RequestRow is a sender that waits.
type RequestRow struct {
	ID, Address, Name    string
	OperatorID, Operator string
	State, Label         string // of its domain
	Since                string
}

// KeyRow is a domain that waits for its key.
type KeyRow struct {
	ID, Domain           string
	OperatorID, Operator string
	Since                string
}

// Request is the page where one sender is decided about.
type Request struct {
	Row      RequestRow
	Write    bool
	Ready    bool     // its domain is authorized
	Receives bool     // a test mail can come back here
	From     string   // what the test mail leaves with
	Problem  string   // why it was not approved, "" for none
	Words    []string // of who refused it
	Reason   Field
}

// KeyForm is the page where the key of one domain is entered.
type KeyForm struct {
	Row KeyRow
	Key Field
}
