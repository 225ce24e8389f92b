package inbound

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// Mailbox takes the mail of the return path. It is safe for concurrent use.
type Mailbox struct {
	Tests      *Tests
	ReturnPath route.ReturnPath
	Domains    []string // where postmaster and abuse are read, the return path's among them

	Book     Book            // of what is reported
	Rules    *classify.Rules // what replies in reports mean
	Courtesy string          // what people are told who write to an address that nobody reads; "" for the usual words

	// Keep stores a mail to postmaster or abuse for the platform's owner.
	Keep func(ctx context.Context, to string, a Arrival) error

	roles networks // what they have written to postmaster and abuse
}

// Recipient reports whether a message with some recipients may go to an address too.
//
// Our return paths are taken, which receivers ask for that verify a sender so. Each is alone
// in its transaction: what is said of a report at the end of its data is about it only.
func (m *Mailbox) Recipient(_ context.Context, address string, others []string) error {
	_, returns := m.delivery(address)
	if !returns {
		if err := m.find(address); err != nil {
			return err
		}
	}
	alone := returns
	if len(others) > 0 && !alone {
		_, alone = m.delivery(others[0])
	}
	if len(others) > 0 && alone {
		return &waypost.Error{
			Kind: waypost.RateLimited, Code: "return_path_alone", SMTP: "4.5.3", Message: "a return path has to be the only recipient, send this one separately",
		}
	}
	return nil
}

// find reports whether there is a mailbox.
func (m *Mailbox) find(address string) error {
	local, domain := split(address)
	switch {
	case domain == "" && strings.EqualFold(local, "postmaster"): // RFC 5321 section 4.1.1.3
		return nil
	case slices.Contains(m.Domains, domain) && isRole(local):
		return nil
	case domain == m.ReturnPath.Domain && m.Tests.waits(local, time.Now()):
		return nil
	case slices.Contains(m.Domains, domain):
		return &waypost.Error{Kind: waypost.NotFound, Code: "no_mailbox", SMTP: "5.1.1", Message: "no such mailbox"}
	}
	return &waypost.Error{Kind: waypost.Forbidden, Code: "no_relay", SMTP: "5.7.1", Message: "this server does not relay"}
}

// Begin reports whether a message for some recipients that Recipient took is taken, before
// its content is there.
func (m *Mailbox) Begin(_ context.Context, recipients []string, peer netip.Addr) error {
	if slices.ContainsFunc(recipients, toRole) && !m.roles.allow(peer, time.Now()) {
		return &waypost.Error{
			Kind: waypost.RateLimited, Code: "rate_limited", SMTP: "4.7.1", Message: "too much mail from your network to this mailbox, try again later",
		}
	}
	return nil
}

// delivery is the delivery that an address is the return path of, if we made it. At which
// domain it is does not matter, as long as that is named like one: operators have a CNAME to
// ours, and what the MAC vouches for is the delivery.
func (m *Mailbox) delivery(address string) (id string, ok bool) {
	p := m.ReturnPath
	p.Domain = address[strings.LastIndexByte(address, '@')+1:]
	if !strings.HasPrefix(strings.ToLower(p.Domain), route.BounceDomain("")) {
		return "", false
	}
	return p.Delivery(address)
}

// Receive takes a message for some recipients that Recipient took. However many they are,
// it is kept once and judged once.
func (m *Mailbox) Receive(ctx context.Context, recipients []string, a Arrival) error {
	role := ""
	var locals []string
	for _, to := range recipients {
		if id, ok := m.delivery(to); ok { // and is the only one
			return m.report(ctx, id, a)
		}
		local, domain := split(to)
		switch {
		case !isRole(local):
			locals = append(locals, local)
		case role == "" && (domain == "" || slices.Contains(m.Domains, domain)):
			role = to
		}
	}
	// What fails is sent again with all the rest, so what may come twice is first: a complaint is
	// recorded once, and a test address is good once.
	if role != "" {
		if err := m.complaint(ctx, a); err != nil {
			return err
		}
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

func toRole(address string) bool {
	local, _ := split(address)
	return isRole(local)
}

func split(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, ""
	}
	return address[:at], strings.ToLower(address[at+1:])
}
