package view

// PlatformDNS is what the platform's owner has to publish.
type PlatformDNS struct {
	Sandbox  bool
	Rotation Rotation
	Report   *PlatformReport // nil: it is loaded afterwards
	Problem  string          // why nothing was looked up, or not done
}

// PlatformReport is the outcome of a look at the platform's records.
type PlatformReport struct {
	Kind    string // of the summary: "success", "warning"
	Summary string
	Checked string
	Records Records
}

// Rotation is how far a rotation of the DKIM keys is.
type Rotation struct {
	Upstream       bool // somebody else signs
	Signing, Since string
	Other          string
	About          string // how far it is
	May            bool   // the person may ask for one, and there can be one
	Again          bool   // it was asked for already
	Question       string
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// realSettings are what a sandbox lacks.
func realSettings() string {
	return `WAYPOST_PLATFORM_DOMAIN=mail.example.net
WAYPOST_HOSTNAME=mx1.example.net
WAYPOST_SENDING_ADDRESSES=192.0.2.10
WAYPOST_BOUNCE_ADDR=0.0.0.0:25`
}
