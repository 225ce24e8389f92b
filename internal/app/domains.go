package app

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// verifySettings are what the platform asks of operators' domains.
func (b *Base) verifySettings() verify.Settings {
	c := b.Config
	s := verify.Settings{
		Platform: c.PlatformDomain, Prefix: c.VerifyPrefix, Include: c.SPFInclude, Addresses: c.SendingAddresses, UpstreamSigns: c.UpstreamSigns,
	}
	copy(s.Selectors[:], c.DKIMSelectors)
	copy(s.Targets[:], c.DKIMTargets)
	if s.UpstreamSigns {
		s.Addresses = nil // mail leaves from the upstream's; its include says which
	}
	return s
}

// newWatcher makes what checks operators' domains.
func (a *App) newWatcher(notices *notices) (*verify.Watcher, error) {
	c := a.Config
	// The name servers of claimed domains are addresses that others choose.
	servers, err := guard.New(guard.Options{Allow: c.GuardAllow, Own: c.SendingAddresses})
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	a.guards = append(a.guards, servers)
	authority := dns.NewAuthority(dns.AuthorityOptions{
		Resolver: a.resolver, Port: c.DNSPort, Check: func(addr netip.Addr) error { return servers.Check(addr) },
	})
	return verify.NewWatcher(verify.WatcherOptions{
		System: a.System,
		Checker: &verify.Checker{
			Settings: a.verifySettings(), Source: func() verify.Source { return authority.Session() }, Caches: a.resolver,
		},
		Signing: a.Keys.Signing, Approve: c.ApproveSenders, Changed: a.Directory.Forget, Notices: notices, Log: a.Log,
	}), nil
}

// checkDomains is a loop's step.
func (a *App) checkDomains(ctx context.Context) {
	if err := a.Domains.Tick(ctx); err != nil && ctx.Err() == nil {
		a.Log.Error("cannot look for domains to check", "error", err)
	}
}

// noDomains answers for a sandbox, which has no records to publish.
type noDomains struct{}

func (noDomains) CheckNow(context.Context, string, string) (store.CheckedDomain, error) {
	return store.CheckedDomain{}, waypost.NewError(waypost.Conflict, "sandbox",
		"the built-in gateway is a sandbox: the platform has no domain yet, so there is nothing to publish")
}

// DomainChanged tells an operator what happened to a domain. What it did itself a moment
// ago it sees on the page.
func (n *notices) DomainChanged(ctx context.Context, operatorID string, events []waypost.DomainEvent) {
	var worth []waypost.DomainEvent
	for _, e := range events {
		switch e.Type {
		case waypost.DomainProven:
			if e.Detail != "" { // somebody else had it
				worth = append(worth, e)
			}
		case waypost.DomainClaimed, waypost.DomainRemoved:
		default:
			worth = append(worth, e)
		}
	}
	if len(worth) == 0 {
		return
	}
	a, err := n.app.Directory.Get(ctx, operatorID)
	if err != nil {
		n.app.Log.Error("cannot send a notice", "operator", operatorID, "error", err)
		return
	}
	last := worth[len(worth)-1]
	var b strings.Builder
	fmt.Fprintf(&b, "Hello %s,\r\n\r\nabout the domain %s:\r\n\r\n", a.Name, last.Name)
	for _, e := range worth {
		fmt.Fprintf(&b, "  - %s\r\n", domainSentence(e))
	}
	b.WriteString("\r\nNo mail is lost. The domain's page shows each record with what is expected, what is found and what to do.\r\n")
	n.send(a, "domain-"+string(last.Type)+"-"+last.Name, domainSubject(last), b.String())
}

// SendersAssigned tells an operator which addresses are used from now on.
func (n *notices) SendersAssigned(ctx context.Context, operatorID string, senders []waypost.Sender) {
	a, err := n.app.Directory.Get(ctx, operatorID)
	if err != nil {
		n.app.Log.Error("cannot send a notice", "operator", operatorID, "error", err)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Hello %s,\r\n\r\nmail on the built-in gateway now leaves with your own address:\r\n\r\n", a.Name)
	for _, s := range senders {
		fmt.Fprintf(&b, "  - %s\r\n", s.Address)
	}
	n.send(a, "senders-"+senders[0].ID, "Your sender address is in use", b.String())
}

// SenderRejected tells an operator that an address is not used, and why.
func (n *notices) SenderRejected(ctx context.Context, s waypost.Sender) {
	a, err := n.app.Directory.Get(ctx, s.OperatorID)
	if err != nil {
		n.app.Log.Error("cannot send a notice", "operator", s.OperatorID, "error", err)
		return
	}
	n.send(a, "sender-rejected-"+s.ID, "Your sender address was rejected", fmt.Sprintf(
		"Hello %s,\r\n\r\n"+
			"the platform's support has rejected this sender address for the built-in gateway:\r\n\r\n"+
			"  %s\r\n\r\n"+
			"The reason:\r\n\r\n"+
			"  %s\r\n\r\n"+
			"No mail is lost: it leaves with the platform's default sender and your name. To ask again, remove the\r\n"+
			"sender and add it anew.\r\n",
		a.Name, s.Address, s.Reason))
}

func domainSubject(e waypost.DomainEvent) string {
	switch e.Type {
	case waypost.DomainAuthorized:
		return e.Name + " is authorized: your own address is used"
	case waypost.DomainLapsed:
		return e.Name + " is not authorized any more: mail leaves with the default sender"
	case waypost.DomainTaken:
		return e.Name + " was proven by somebody else"
	case waypost.DomainProven:
		return e.Name + " is yours now"
	case waypost.DomainMended:
		return e.Name + ": a DNS record is right again"
	default:
		return e.Name + ": a DNS record needs your attention"
	}
}

func domainSentence(e waypost.DomainEvent) string {
	switch e.Type {
	case waypost.DomainAuthorized:
		return "It is authorized. Assigned senders at it are used on the built-in gateway."
	case waypost.DomainLapsed:
		return "It is not authorized any more: " + e.Detail + ". Until the record is back, mail leaves with the platform's default sender."
	case waypost.DomainProven:
		return "You have proven it; " + e.Detail + "."
	case waypost.DomainTaken:
		return "Your ownership record is gone, and another operator has proven the domain with its own."
	case waypost.DomainMended:
		return "Mended: " + e.Detail + "."
	default:
		return "Please look at the records: " + e.Detail + "."
	}
}
