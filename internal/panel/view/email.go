package view

import "github.com/a-h/templ"

// Email is the page of the e-mail settings.
type Email struct {
	Write         bool // the person may change them
	Wrong         bool // what was sent has problems
	PasswordSaved bool
	InUse         string // in a sentence: what mail leaves with now
	Failing       *EmailFailing
	Reputation    *Reputation // nil without the built-in gateway
	Warnings      []string
	Presets       []EmailPreset
	Fields        EmailFields
}

// EmailFields are the fields of its form.
type EmailFields struct {
	Gateway, Preset, Host, Port, Security, TrustAll, Auth, Username, Password Field
	FromEmail, FromName, ReplyTo, SignatureText, SignatureHTML, To            Field
}

// EmailFailing is an own server that refuses us or cannot be reached.
type EmailFailing struct{ Since, Reason, Next string }

// EmailPreset is what a provider wants.
type EmailPreset struct {
	ID, Name, Docs  string
	Chosen          bool
	Username, Login string
	Notes           []string
	Hosts           [][2]string // names and hosts of regions or plans
	Ports           []string    // others that work too
}

// EmailTest is how far a test mail is.
type EmailTest struct {
	Path       string // of this page
	To         string
	Live       bool // there is more to come
	Done, OK   bool
	Steps      []EmailStep
	Summary    string
	Reply      string // the last words of the other server
	Field      string // the setting that the advice is about, "" for none
	FieldLabel string
	Receives   bool // test mails can come back to this server
	Check      *EmailCheck
}

// EmailStep is one stage of it.
type EmailStep struct {
	Phase, Took, Detail, Reply string
	OK                         bool
}

// EmailCheck is what a receiver makes of our mail.
type EmailCheck struct {
	Waiting, Missing            bool
	From, Peer, TLS, Size, Took string
	SPF, DKIM, DMARC            string
	Results                     string // the Authentication-Results field
	Sentences                   []string
}

// verdict is the look of a result of SPF, DKIM or DMARC.
func verdict(result string) string {
	if result == "pass" {
		return "ok"
	}
	return "error"
}

// saveAttributes make a button save the settings in place, so that nothing typed is lost.
// There are two: what the Enter key presses is the first button of a form.
func saveAttributes() templ.Attributes {
	return templ.Attributes{
		"hx-post": "/settings/email", "hx-target": "#email", "hx-select": "#email", "hx-swap": "outerHTML show:top",
	}
}
