package view

// First is the form that makes the owner of a new installation.
type First struct {
	Action                              string
	Name, Email, Login, Password, Again Field
	Problem                             string
}

// SetupStep is one of the first steps.
type SetupStep struct {
	Name    string
	Number  int
	Done    bool
	Blocked bool // an earlier one has to be done first
	Open    bool
	Skip    string // the step after it, "" for none
}

// state of the step, as texts name it.
func (s SetupStep) state() string {
	switch {
	case s.Done:
		return "done"
	case s.Blocked:
		return "blocked"
	}
	return "open"
}

func (s SetupStep) look() string {
	if s.Done {
		return "ok"
	}
	return "queued"
}

// Setup is the page of the first steps.
type Setup struct {
	Steps   []SetupStep
	Problem string
	Sandbox bool   // no mail leaves
	Domain  string // of the platform
	Hidden  bool   // the overview does not remind of it

	Settings string // for the configuration

	Operator struct{ Name, Product, Contact Field }

	OperatorID, OperatorName string // of the first operator
	Admin                    Invite
}

// Left is how many steps are not done.
func (s Setup) Left() int { return left(s.Steps) }

// SetupCard reminds of the first steps.
type SetupCard struct{ Steps []SetupStep }

// Left is how many steps are not done.
func (c SetupCard) Left() int { return left(c.Steps) }

func left(steps []SetupStep) int {
	n := 0
	for _, s := range steps {
		if !s.Done {
			n++
		}
	}
	return n
}
