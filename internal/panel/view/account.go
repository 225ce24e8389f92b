package view

import (
	"strings"
	"time"
)

// Account is a person's own page.
type Account struct {
	Login, Role, Operator string // Operator is "" for the platform's staff

	Name, Email, Confirm     Field // Confirm asks for the password, for a new address
	Language, Zone, Theme    Field
	Zones                    []string
	Current, Password, Again Field
	TOTP                     bool
	RecoveryLeft             int64
	TOTPPassword             Field // asks for the password
	Sessions                 []Session
	SignIns                  []Session
	Problem                  string // of the page as a whole
}

// Session is a browser that is or was signed in.
type Session struct {
	ID            string
	Browser       string
	Peer          string
	Created, Seen time.Time
	Ended         bool
	This          bool
	Acting        string // the operator that it acts for, "" for none
}

// TOTPSetup is the page that switches two-step sign-in on.
type TOTPSetup struct {
	Image  string // address of the QR code
	Secret string // to type in
	URI    string // for the app on the same device
	Code   Field
}

// grouped is a secret as people read it: four characters at a time.
func (s TOTPSetup) grouped() string {
	var parts []string
	for text := s.Secret; text != ""; {
		n := min(4, len(text))
		parts, text = append(parts, text[:n]), text[n:]
	}
	return strings.Join(parts, " ")
}

// Recovery are the recovery codes, shown once.
type Recovery struct {
	Codes []string
	File  string // the codes as a file, a data: address
}

func (r Recovery) text() string { return strings.Join(r.Codes, "\n") }
