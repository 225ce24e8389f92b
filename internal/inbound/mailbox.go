package inbound

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Mailbox takes the mail of the return path.
type Mailbox struct {
	Tests   *Tests
	Domain  string   // of the return path, "bounce.<platform>"
	Domains []string // where postmaster and abuse are read, Domain among them

	// Keep stores a mail to postmaster or abuse for the platform's owner.
	Keep func(ctx context.Context, to string, a Arrival) error
}

// Recipient reports whether mail for an address is taken.
func (m *Mailbox) Recipient(_ context.Context, address string) error {
	local, domain := split(address)
	switch {
	case domain == "" && strings.EqualFold(local, "postmaster"): // RFC 5321 section 4.1.1.3
		return nil
	case slices.Contains(m.Domains, domain) && isRole(local):
		return nil
	case domain == m.Domain && m.Tests.waits(local, time.Now()):
		return nil
	case slices.Contains(m.Domains, domain):
		return &waypost.Error{Kind: waypost.NotFound, Code: "no_mailbox", SMTP: "5.1.1", Message: "no such mailbox"}
	}
	return &waypost.Error{Kind: waypost.Forbidden, Code: "no_relay", SMTP: "5.7.1", Message: "this server does not relay"}
}

// Receive takes a message for some recipients that Recipient took. However many they are,
// it is kept once and judged once.
func (m *Mailbox) Receive(ctx context.Context, recipients []string, a Arrival) error {
	role := ""
	var locals []string
	for _, to := range recipients {
		local, domain := split(to)
		switch {
		case !isRole(local):
			locals = append(locals, local)
		case role == "" && (domain == "" || slices.Contains(m.Domains, domain)):
			role = to
		}
	}
	if role != "" { // first: if it fails all is sent again, and a test address is good once
		if err := m.Keep(ctx, role, a); err != nil {
			return err
		}
	}
	if len(locals) == 0 {
		return nil
	}
	return m.Tests.receive(ctx, locals, a)
}

// isRole reports the mailboxes that every mail domain has (RFC 2142).
func isRole(local string) bool {
	return strings.EqualFold(local, "postmaster") || strings.EqualFold(local, "abuse")
}

func split(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, ""
	}
	return address[:at], strings.ToLower(address[at+1:])
}
