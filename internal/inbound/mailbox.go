package inbound

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// Options make a Mailbox.
type Options struct {
	Tests      *Tests
	ReturnPath route.ReturnPath
	Domains    []string // where postmaster and abuse are read, the return path's among them
	Sender     string   // the platform's default sender, at one of Domains; "" for none

	Book     Book            // of what is reported
	Rules    *classify.Rules // what replies in reports mean
	Settings Platform        // nil: as nobody has chosen anything
	Forward  *Forwarder      // nil: nothing is forwarded, whatever the settings say

	// Keep stores a mail to postmaster or abuse for the platform's owner.
	Keep func(ctx context.Context, to string, a Arrival) error
}

// Platform reads what the owner has chosen.
type Platform interface {
	Platform(ctx context.Context) (waypost.PlatformSettings, error)
}

// Mailbox takes the mail of the return path. It is safe for concurrent use.
type Mailbox struct {
	Options

	bounds bounds
}

// New returns a Mailbox.
func New(o Options) *Mailbox {
	return &Mailbox{Options: o, bounds: newBounds()}
}

// Recipient reports whether a message with some recipients may go to an address too.
//
// Our return paths and the default sender are taken, which receivers ask for that verify a
// sender so. Each is alone in its transaction: what is said of its mail is about it only.
func (m *Mailbox) Recipient(_ context.Context, address string, others []string) error {
	alone := m.isAlone(address)
	if !alone {
		if err := m.find(address); err != nil {
			return err
		}
	}
	if len(others) > 0 && (alone || m.isAlone(others[0])) {
		return &waypost.Error{
			Kind: waypost.RateLimited, Code: "return_path_alone", SMTP: "4.5.3", Message: "this has to be the only recipient, send it separately",
		}
	}
	return nil
}

// isAlone reports whether an address takes mail that has no other recipients.
func (m *Mailbox) isAlone(address string) bool {
	_, returns := m.delivery(address)
	return returns || m.isSender(address)
}

// isSender reports whether an address is the platform's default sender, and not one that
// somebody reads.
func (m *Mailbox) isSender(address string) bool {
	return m.Sender != "" && same(address, m.Sender) && !toRole(address)
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
func (m *Mailbox) Begin(ctx context.Context, recipients []string, peer netip.Addr) error {
	if slices.ContainsFunc(recipients, toRole) && !m.bounds.roles.Allow(networkOf(peer)) {
		return tooMuch("too much mail from your network to this mailbox")
	}
	if len(recipients) != 1 {
		return nil
	}
	if id, ok := m.delivery(recipients[0]); ok && !m.bounds.report(id, peer) {
		return tooMuch("too many reports at once")
	}
	if !m.isSender(recipients[0]) {
		return nil
	}
	if forwards, err := m.forwards(ctx); err != nil || forwards {
		return err
	}
	return m.nobodyReads(ctx)
}

// settings are what the owner has chosen for what people write.
func (m *Mailbox) settings(ctx context.Context) (waypost.ReturnPathSettings, error) {
	if m.Settings == nil {
		return waypost.ReturnPathSettings{}, nil
	}
	p, err := m.Settings.Platform(ctx)
	return p.ReturnPath, err
}

// nobodyReads refuses what people write, in the reply itself, so that it is never we who
// write to somebody.
func (m *Mailbox) nobodyReads(ctx context.Context) error {
	s, err := m.settings(ctx)
	if err != nil {
		return err
	}
	return &waypost.Error{Kind: waypost.Forbidden, Code: "nobody_reads", SMTP: "5.7.1", Message: cmp.Or(strings.TrimSpace(s.Courtesy), courtesy)}
}

// courtesy is what people are told who write to an address that nobody reads, unless
// the owner has words of his own.
const courtesy = "Nobody reads mail to this address. Please write to whom the mail you received names as its contact."

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
		if m.isSender(to) { // likewise
			return m.forward(ctx, a)
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
