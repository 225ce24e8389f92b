package view

// Forgot is the form of who forgot the password.
type Forgot struct {
	Who     Field
	Problem string
}

// SetPassword is the form that a link leads to.
type SetPassword struct {
	Action          string
	Login           string
	Invited         bool // it is the first password
	Password, Again Field
	Problem         string
}

// BadLink is the page of a link that is worth nothing.
type BadLink struct{ Text, Path, Button string }
