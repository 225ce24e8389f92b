package inbound

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/waypost"
)

// bounds say how much is taken from whom. Past them it is 450, and the sender's server comes
// again: a provider that has thousands of bounces for us is through with them within hours.
type bounds struct {
	roles      *limit.Limits // mails of a network to postmaster and abuse
	deliveries *limit.Limits // reports to one return path: who has it must not use up what all have
	networks   *limit.Limits // reports of a network
	all        *limit.Limits // reports
	writers    *limit.Limits // mails of a person that are forwarded
	operators  *limit.Limits // mails that are forwarded to one operator
	forwards   *limit.Limits // mails that are forwarded
}

func newBounds() bounds {
	return bounds{
		roles:      hourly(20),
		deliveries: hourly(40),
		networks:   limit.New(rate.Every(time.Second), 1000),
		all:        limit.New(rate.Every(100*time.Millisecond), 5000),
		writers:    hourly(5),
		operators:  hourly(20),
		forwards:   hourly(200),
	}
}

// hourly allows never more than n within an hour: half of them at once, rounded up, and the
// other half over the time.
func hourly(n int) *limit.Limits {
	burst := (n + 1) / 2
	return limit.New(rate.Every(time.Hour/time.Duration(n-burst)), burst)
}

// report reports whether one more report for a delivery is taken.
func (b *bounds) report(delivery string, peer netip.Addr) bool {
	return b.deliveries.Allow(delivery) && b.networks.Allow(networkOf(peer)) && b.all.Allow("")
}

// forward reports whether one more mail of a person is forwarded to an operator.
func (b *bounds) forward(writer, operator string) bool {
	return b.writers.Allow(writer) && b.operators.Allow(operator) && b.forwards.Allow("")
}

func tooMuch(what string) error {
	return &waypost.Error{Kind: waypost.RateLimited, Code: "rate_limited", SMTP: "4.7.1", Message: what + ", try again later"}
}

// networkOf names an IPv4 /24 or an IPv6 /48, "" for the zero Addr: so many addresses one
// hand can have for little, unlike those of waypost.PeerNetwork.
func networkOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
