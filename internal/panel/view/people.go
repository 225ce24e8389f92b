package view

import "time"

// People is a list of users.
type People struct {
	Rows     []Person
	Staff    bool   // the list is the platform's: who belongs where is shown
	New      string // where one is invited; "" if the person may not
	NewStaff string // the same for staff of the platform
	First    string
	Next     string

	Operator Field  // filter, for the platform
	Login    Field  // search, for the platform
	Names    []Name // of operators, to choose from
	Shown    string // name of the operator that the list is limited to
	Problem  string
}

// Name is an operator to choose.
type Name struct{ ID, Name string }

// Person is a user.
type Person struct {
	ID, Login, Name, Email string
	Role                   string // as shown
	State                  string // "active", "invited" or "disabled"
	StateLabel             string
	TOTP                   bool
	LastLogin              time.Time
	Operator               string // its name; "" for staff of the platform
	OperatorPath           string // the list of the operator's users
	Path                   string // of the person's page; "" if there is nothing to do for who looks
	You                    bool
}

// label is what a person is called.
func (u Person) label() string {
	if u.Name != "" {
		return u.Name
	}
	return u.Login
}

// badge is the look of a person's state.
func (u Person) badge() string {
	switch u.State {
	case "active":
		return "active"
	case "invited":
		return "queued"
	}
	return "suspended"
}

// Invite is the form that makes a user.
type Invite struct {
	Action, Back             string
	Operator                 Field // whose user; of the platform's form only
	Names                    []Name
	Email, Name, Login, Role Field
	Language                 Field
	How, Password, Again     Field // How is "" where only an invitation is possible
	Problem                  string
}

// PersonPage is one user with what can be done.
type PersonPage struct {
	Person
	Back                  string
	Created               time.Time
	NameField, EmailField Field
	RoleField             Field
	Sessions              []Session
	Problem               string
	NoMail                bool // no mail leaves this installation
	ResetCommand          string
}

// Handed is a link to give to a person, where no mail can bring it.
type Handed struct {
	Person, Link string
	Expires      time.Time
	Back         string
}
