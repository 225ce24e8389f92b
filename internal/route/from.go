package route

import "github.com/waypost/waypost/internal/waypost"

// Chosen is the From a mail leaves with.
type Chosen struct {
	Address  waypost.Address
	Replaced bool   // it is not the submitted one
	Why      string // for people, "" when nothing was replaced

	// ReturnDomain is where this mail's return path may be instead of at the platform's
	// domain, so that SPF aligns with From too; "" for nowhere else.
	ReturnDomain string
}

// From chooses the address in the From field for a route. submitted is the header
// From after accept, its domain in A-labels.
//
// On the operator's own server its senders are its own business. Everywhere else an
// own sender needs to be assigned and its domain authorized; else the platform's
// default address stands in, with the operator's display name. A Chosen without an
// address says that there is none, and why.
func From(p Platform, a *waypost.Account, kind waypost.RouteKind, submitted waypost.Address) Chosen {
	sender, own := a.SenderFor(submitted.Email)
	if kind == waypost.RouteRelay {
		return fromOnRelay(p, a, submitted, own)
	}
	if a.ID == waypost.PlatformOperatorID {
		return Chosen{Address: p.From, Replaced: submitted.Email != p.From.Email}
	}
	domain, proven := a.DomainFor(submitted.Email)
	// Nobody claims the platform's domain; its owner assigns addresses there.
	authorized := proven && !domain.Authorized.IsZero() || waypost.DomainOf(submitted.Email) == waypost.DomainOf(p.From.Email)
	if own && sender.State == waypost.SenderAssigned && authorized {
		c := Chosen{Address: submitted}
		if domain.ReturnPath {
			c.ReturnDomain = BounceDomain(domain.Name)
		}
		return c
	}
	why := "not a sender of the operator"
	if own {
		why = "the sender is " + string(sender.State) + " and not in use on the built-in gateway"
		if sender.State == waypost.SenderAssigned {
			why = "the domain of the sender is not authorized"
		}
	}
	if p.Sandbox() { // nothing leaves: keep what the operator would want to see
		return Chosen{Address: submitted, Why: why}
	}
	name := a.Name
	if own && sender.Name != "" {
		name = sender.Name
	} else if d, ok := a.DefaultSender(); ok && d.Name != "" {
		name = d.Name
	}
	return Chosen{Address: waypost.Address{Name: name, Email: p.From.Email}, Replaced: true, Why: why}
}

// fromOnRelay is From on the operator's own server, which may be any host of the
// internet: an address of the platform must not reach it from the hosts that the
// platform's SPF record names.
func fromOnRelay(p Platform, a *waypost.Account, submitted waypost.Address, own bool) Chosen {
	why, taken := "not a sender of the operator", p.Owns(submitted.Email)
	switch {
	case taken:
		why = "addresses of the platform do not leave through an operator's own server"
	case own:
		return Chosen{Address: submitted}
	}
	if d, ok := a.DefaultSender(); ok && !p.Owns(d.Address) {
		return Chosen{Address: named(d, a), Replaced: true, Why: why}
	}
	if taken {
		return Chosen{Why: why}
	}
	return Chosen{Address: submitted} // nothing better is known, and the server is the operator's
}

func named(s waypost.Sender, a *waypost.Account) waypost.Address {
	name := s.Name
	if name == "" {
		name = a.Name
	}
	return waypost.Address{Name: name, Email: s.Address}
}

// EnvelopeFrom is the return path of the operator's own server: its default sender,
// whose mailbox the operator reads; the From in use if it has none.
func EnvelopeFrom(p Platform, a *waypost.Account, from waypost.Address) string {
	if d, ok := a.DefaultSender(); ok && !p.Owns(d.Address) {
		return d.Address
	}
	return from.Email
}

// DefaultFrom is the author of a mail that names none. In the sandbox of a platform
// without a domain nothing leaves, so an address that cannot exist (RFC 2606) will do.
func DefaultFrom(p Platform, a *waypost.Account) waypost.Address {
	if d, ok := a.DefaultSender(); ok {
		return named(d, a)
	}
	from := p.From
	if from.Email == "" {
		from.Email = "no-reply@waypost.invalid"
	}
	if a.ID != waypost.PlatformOperatorID || from.Name == "" {
		from.Name = a.Name
	}
	return from
}
