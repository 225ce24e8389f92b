package view

// Property is a name and a value.
type Property struct {
	Name, Value string
	Mono        bool
	Path        string // where the value leads, "" for nowhere
}

// Mail is the content of a mail, in one of several views.
type Mail struct {
	Tabs    []Tab
	Frame   string // what the frame shows, "" for Source instead
	Sandbox string
	Source  string
	Notes   []string // about what is not shown
	Files   []MailFile
	Raw     string // path of the whole mail
}

// Tab is a view to choose.
type Tab struct {
	Label, Path string
	Current     bool
}

// MailFile is a file in a mail.
type MailFile struct{ Name, Type, Size, Path string }
