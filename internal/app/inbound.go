package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/inbound"
	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/smtpd"
	"github.com/waypost/waypost/internal/testmail"
	"github.com/waypost/waypost/internal/waypost"
)

// ListenBounce is the listener of the return path.
const ListenBounce = "bounce"

// newTests makes the one-time addresses at the return path; nil without a listener there.
func (a *App) newTests() *inbound.Tests {
	c := a.Config
	if c.PlatformDomain == "" || c.BounceAddr == "" {
		return nil
	}
	resolver := new(net.Resolver)
	if c.DNSResolver != "" {
		resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, c.DNSResolver)
		}}
	}
	return inbound.NewTests(route.BounceDomain(c.PlatformDomain), &inbound.Judge{Hostname: c.Hostname, Resolver: resolver})
}

// listenBounce serves the return path.
func (a *App) listenBounce() error {
	c := a.Config
	listener, err := a.listen(ListenBounce, c.BounceAddr)
	if err != nil || listener == nil {
		return err
	}
	if a.Tests == nil {
		a.Log.Warn("the return path has nothing to do: the platform has no domain")
		return listener.Close()
	}
	domains := []string{route.BounceDomain(c.PlatformDomain), c.PlatformDomain}
	sender := c.PlatformFrom.Email
	from := waypost.DomainOf(sender)
	if ascii, err := dns.ToASCII(from); err == nil { // as others write it
		sender, from = sender[:strings.LastIndexByte(sender, '@')+1]+ascii, ascii
	}
	if !slices.Contains(domains, from) {
		domains = append(domains, from)
	}
	server := smtpd.New(smtpd.Options{
		Hostname: c.Hostname, TLS: a.tls, MaxMessageSize: min(c.MaxMessageSize, maxReceived),
		MaxConnections: bounceConnections, MaxConnectionsPerPeer: 20, MaxRecipients: 100,
		Inbound: returnPath{inbound.New(inbound.Options{
			Tests: a.Tests, ReturnPath: a.returnPath(), Domains: domains, Sender: sender,
			Book: a.System, Rules: a.rules, Keep: a.keepRole, Settings: a.Directory,
			Forward: &inbound.Forwarder{Sent: a.System, Accounts: a.Directory, Accepter: a.Submit, From: a.Platform.From, Log: a.Log},
		})},
		Logger: a.Log, OnPanic: func(any) { a.Metrics.Panicked() },
	})
	a.later("return path", share(server.Shutdown))
	a.loops.Go(func() {
		if err := server.Serve(context.Background(), listener, smtpd.ListenerOptions{}); err != nil {
			a.fail(fmt.Errorf("%s listener: %w", ListenBounce, err))
		}
	})
	return nil
}

// Bounds of what strangers may do.
const (
	bounceConnections = 200
	maxReceived       = 2 << 20 // bytes of a message: a test mail with its signature is far below
	maxRoleMail       = 1 << 20 // bytes of one that stays in the local mailbox
)

// returnPath makes and recognizes the return paths of the built-in gateway.
func (a *App) returnPath() route.ReturnPath {
	return route.ReturnPath{Domain: route.BounceDomain(a.Config.PlatformDomain), Key: a.Ring.Derive("return path")}
}

// returnPath connects the SMTP server to the mailbox.
type returnPath struct{ mailbox *inbound.Mailbox }

func (r returnPath) Recipient(ctx context.Context, address string, others []string) error {
	return r.mailbox.Recipient(ctx, address, others)
}

func (r returnPath) Begin(ctx context.Context, m smtpd.Received) error {
	return r.mailbox.Begin(ctx, m.Recipients, m.Peer)
}

func (r returnPath) Receive(ctx context.Context, m smtpd.Received) error {
	return r.mailbox.Receive(ctx, m.Recipients, inbound.Arrival{
		Peer: m.Peer, Hello: m.Hello, MailFrom: m.MailFrom, TLS: m.TLS, Data: m.Data, At: m.At,
	})
}

// keepRole keeps a mail to postmaster or abuse in the platform's local mailbox.
func (a *App) keepRole(ctx context.Context, to string, m inbound.Arrival) error {
	if len(m.Data) > maxRoleMail {
		return waypost.NewError(waypost.TooLarge, "too_large", fmt.Sprintf("this mailbox takes messages of up to %d bytes", maxRoleMail))
	}
	subject := ""
	if header, _, err := message.Split(m.Data); err == nil {
		if h, err := message.ParseHeader(header, message.Limits{}); err == nil {
			subject = h.Text("Subject")
		}
	}
	removed, err := a.System.KeepReceived(ctx, waypost.PlatformOperatorID, m.MailFrom, to, subject, m.Data, m.At)
	if err != nil {
		return err
	}
	if removed > 0 {
		a.Log.Warn("the local mailbox is full of mail for the platform's owner: the oldest was removed", "removed", removed)
	}
	a.Log.Info("mail for the platform's owner is in the local mailbox", "to", to, "peer", peerText(m.Peer), "size", len(m.Data))
	return nil
}

func peerText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// newTester sends test mails for the API and the panel alike.
func (a *App) newTester() *testmail.Tester {
	o := testmail.Options{Store: a.Store, Accepter: a.Submit, Platform: a.Platform}
	if a.Tests != nil {
		o.Addresses = tests{a.Tests}
	}
	return testmail.New(o)
}

// tests gives the tester its one-time addresses.
type tests struct{ *inbound.Tests }

// New makes an address and returns where what was made of its mail arrives.
func (t tests) New(now time.Time) (address string, arrived <-chan waypost.Reception, ok bool) {
	test := t.Tests.New(now)
	if test == nil {
		return "", nil, false
	}
	return test.Address, test.Arrived(), true
}
