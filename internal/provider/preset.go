package provider

import (
	"path"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// Preset is what to enter for one provider. Its ID is stable: it may be stored and is
// what translations go by.
type Preset struct {
	ID       string
	Name     string
	Host     string // "" for Other; where there are Variants, that of the first
	Port     int
	Security waypost.Security
	Other    []Endpoint // more ports of the same host, should a firewall block the first
	Variants []Variant  // hosts of regions, data centers or plans to choose from; nil: one for all
	Username Username
	Login    string // the user name itself where Username is UsernameFixed, else an example or ""
	Notes    []Note
	Docs     string // the provider's own page; "" for other servers, as Checked
	Checked  string // when the values were last compared with it, "2026-11-23"

	// More names of its servers, patterns of path.Match. A pattern ends in a name that
	// belongs to the provider: "*" matches dots too.
	hosts []string
}

// Endpoint is a port and how it is protected.
type Endpoint struct {
	Port     int
	Security waypost.Security
}

// Variant is one of several hosts of a provider, on the same ports.
type Variant struct {
	ID   string // stable, unique within its preset
	Name string
	Host string
}

// Username is what a provider wants as user name.
type Username string

// The user names.
const (
	UsernameOwn     Username = "own"     // whatever the server's administrator says
	UsernameAddress Username = "address" // the full e-mail address of the mailbox
	UsernameFixed   Username = "fixed"   // the same word for everybody, in Preset.Login
	UsernameAny     Username = "any"     // not looked at, but must not be empty
	UsernameIssued  Username = "issued"  // made by the provider together with the password
	UsernameToken   Username = "token"   // the same token as the password
)

// Text says in English what to enter.
func (u Username) Text() string {
	switch u {
	case UsernameOwn:
		return "The user name that the server's administrator gave you; leave it empty if the server wants no login."
	case UsernameAddress:
		return "The full e-mail address of the mailbox."
	case UsernameFixed:
		return "Exactly the word shown, the same for every account."
	case UsernameAny:
		return "Anything, for instance the account's e-mail address; only the password counts."
	case UsernameIssued:
		return "The SMTP user name that the provider shows beside the SMTP password."
	case UsernameToken:
		return "The same token as for the password."
	}
	return ""
}

// OtherID is the ID of the preset for every server that has none of its own.
const OtherID = "other"

// ByID returns the preset with an ID, and whether there is one.
func ByID(id string) (Preset, bool) {
	for _, p := range All() {
		if p.ID == id {
			return p, true
		}
	}
	return Preset{}, false
}

// ByHost returns the preset that a host belongs to, and whether one does: so a server
// that is saved shows whose it is. It is never the preset for other servers.
func ByHost(host string) (Preset, bool) {
	host = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(host), "."))
	if host == "" {
		return Preset{}, false
	}
	for _, p := range All() {
		if p.has(host) {
			return p, true
		}
	}
	return Preset{}, false
}

func (p Preset) has(host string) bool {
	if host == p.Host {
		return true
	}
	for _, v := range p.Variants {
		if host == v.Host {
			return true
		}
	}
	for _, pattern := range p.hosts {
		if ok, err := path.Match(pattern, host); ok && err == nil {
			return true
		}
	}
	return false
}
