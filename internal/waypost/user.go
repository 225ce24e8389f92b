package waypost

import (
	"fmt"
	"io"
	"time"
)

// Role is what a user may do, and on whose side.
type Role string

// The roles. Owner, support and auditor are staff of the platform; admin and viewer are an
// operator's.
const (
	RoleOwner   Role = "owner"   // everything
	RoleSupport Role = "support" // everything about operators, and acting for them
	RoleAuditor Role = "auditor" // reads everything, changes nothing
	RoleAdmin   Role = "admin"   // everything about its operator
	RoleViewer  Role = "viewer"  // reads everything about its operator
)

// Valid reports whether there is such a role.
func (r Role) Valid() bool {
	switch r {
	case RoleOwner, RoleSupport, RoleAuditor, RoleAdmin, RoleViewer:
		return true
	}
	return false
}

// Platform reports whether it is a role of the platform's staff.
func (r Role) Platform() bool { return r == RoleOwner || r == RoleSupport || r == RoleAuditor }

// Acts reports whether users of this role may act for operators.
func (r Role) Acts() bool { return r == RoleOwner || r == RoleSupport }

// User is a person who signs in.
type User struct {
	ID         string
	OperatorID string // "" for staff of the platform
	Login      string // unique in the installation, normalized
	Email      string // normalized; "" for none, then nothing can be mailed
	Name       string // "" for none
	Role       Role
	Language   string // a BCP 47 tag; "" for the usual
	TimeZone   string // an IANA name; "" for the usual
	TOTP       bool   // a code is asked for after the password
	Active     bool   // has a password; else invited only
	Disabled   bool   // cannot sign in
	Created    time.Time
	LastLogin  time.Time // zero for never
}

// SignsInByMail reports whether the login is an e-mail address. Such a login is the user's
// own address: whoever types an address means the person who reads mail there, and nobody
// else may hold it.
func (u User) SignsInByMail() bool {
	_, _, err := SplitAddress(u.Login)
	return err == nil
}

// AuditedUnder is the operator under which changes of the user are recorded: its own, or
// the platform's.
func (u User) AuditedUnder() string {
	if u.OperatorID == "" {
		return PlatformOperatorID
	}
	return u.OperatorID
}

// UserSecrets is what a user proves to be itself with. It stays between store and auth.
type UserSecrets struct {
	Password string // argon2id in PHC string format; "" for none yet
	TOTP     []byte // sealed; empty while it is off
	TOTPNext []byte // sealed; shown to the user, not confirmed yet
	TOTPStep int64  // the last time step whose code was taken
}

// Format implements fmt.Formatter and reveals nothing, whatever the verb.
func (UserSecrets) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// SessionIdle is how long a session that is not used lasts.
const SessionIdle = 12 * time.Hour

// UserSession is one signed-in browser of a user.
type UserSession struct {
	ID        string
	UserID    string
	ActingFor string // the operator that staff of the platform acts for, "" for none
	Created   time.Time
	Seen      time.Time // last used, to a minute
	Expires   time.Time // whatever happens
	Ended     time.Time // signed out or revoked; zero while it lasts
	Peer      string    // the address it was last used from
	Agent     string    // the browser, in its own words
}

// SecondFactor is what a user proved itself with besides its password. The zero value is
// nothing.
type SecondFactor struct {
	TOTP     []byte // the sealed secret that a code was checked with; nil for none
	Step     int64  // the time step of the code
	Recovery []byte // the hash of a recovery code; nil for none
}

// TokenPurpose is what a one-time token is good for.
type TokenPurpose string

// The purposes.
const (
	TokenInvite   TokenPurpose = "invite"   // sets the first password
	TokenReset    TokenPurpose = "reset"    // sets another password
	TokenRecovery TokenPurpose = "recovery" // stands in for a TOTP code
)

// UserToken is a one-time token as kept: of the token itself there is only a hash.
type UserToken struct {
	Hash    []byte // SHA-256
	UserID  string
	Purpose TokenPurpose
	Expires time.Time // zero for never
}
