package view

// Suppressions is the list of addresses that are not mailed.
type Suppressions struct {
	Write           bool
	Address, Reason Field // of the search
	Kind            Field
	Active          bool // something is looked for
	Rows            []Suppression
	Add             SuppressionForm
	Open            bool // the form has something to say
	First, Next     string
	Exempt          Exempt
	Import          SuppressionImport
}

// SuppressionImport is the form for files of suppressions.
type SuppressionImport struct {
	File, List, Reason Field
	Open               bool
	CSV                string        // what the list shows, as a file
	Report             *ImportReport // of the file that was sent; nil for none
}

// ImportReport says what became of a file.
type ImportReport struct {
	Try   bool // nothing was changed
	Again bool // the file has to be chosen once more to import it
	Text  string
	Rows  []ImportProblem
	More  string // about those that are not shown
}

// ImportProblem says why a row is refused.
type ImportProblem struct{ Line, Text, Why string }

// Exempt are addresses that nothing but a person suppresses.
type Exempt struct {
	Addresses []ExemptAddress
	Add       Field
	Open      bool
	Next      string // path to more, "" at the end
}

// ExemptAddress is one of them, and the question before it is taken off the list.
type ExemptAddress struct{ Address, Ask string }

// SuppressionForm is for adding an address.
type SuppressionForm struct{ Address, Kind, Detail, Expires Field }

// Suppression is an address in the list.
type Suppression struct {
	Address, Reason, Label, Detail, At, Expires string

	Kind, KindLabel string // of the mail it is for
	Via             string // how the recipient said so, "" if it did not

	Message string // path to the mail that showed it, "" for none

	Ask string
}

// reasonClass is the look of a reason.
func reasonClass(reason string) string {
	switch reason {
	case "hard_bounce", "complaint":
		return "bg-red-lt"
	case "soft_bounce":
		return "bg-orange-lt"
	}
	return "bg-secondary-lt"
}
