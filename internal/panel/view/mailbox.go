package view

// Mailbox is mail that went nowhere on purpose.
type Mailbox struct {
	Base        string
	Platform    bool   // that of all operators
	Chosen      string // name of the one operator whose mail is shown, "" for all
	Operator    string // whose mail the button removes
	Empties     bool   // there is such a button
	Live        bool   // all mail of the built-in gateway ends here
	Rows        []BoxedRow
	First, Next string
}

// BoxedRow is a mail in the list.
type BoxedRow struct {
	Path, At, From, To, Subject, Size string
	Plain                             bool // Subject is words of ours
	Operator, OperatorPath            string
}

// Boxed is the page of one mail.
type Boxed struct {
	Base, Subject string
	Facts         []Property
	Message       string // path of the message it was, "" for none
	Mail          Mail
}

func mailboxHint(p Page, v Mailbox) string {
	if v.Platform {
		return p.T("mailbox.empty_platform")
	}
	return p.T("mailbox.empty_about")
}
