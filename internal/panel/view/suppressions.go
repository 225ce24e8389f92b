package view

// Suppressions is the list of addresses that are not mailed.
type Suppressions struct {
	Write           bool
	Address, Reason Field // of the search
	Active          bool  // something is looked for
	Rows            []Suppression
	Add             SuppressionForm
	Open            bool // the form has something to say
	First, Next     string
}

// SuppressionForm is for adding an address.
type SuppressionForm struct{ Address, Detail, Expires Field }

// Suppression is an address in the list.
type Suppression struct {
	Address, Reason, Label, Detail, At, Expires string

	Over bool // its time has passed
	Ask  string
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
