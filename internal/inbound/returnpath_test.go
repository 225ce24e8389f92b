package inbound

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// code is the enhanced status code of an answer, "" for yes.
func code(err error) string {
	if err == nil {
		return ""
	}
	return waypost.AsError(err).SMTP
}

// returnPathAt is one of ours, as it is at some domain.
func (k *kept) returnPathAt(domain string) string {
	p := k.ReturnPath
	p.Domain = domain
	return p.Address(waypost.NewID())
}

func TestRecipientTakesOurReturnPathsAndNoForgedOnes(t *testing.T) {
	m := newMailbox(zones{})
	ours := m.returnPathAt("bounce.platform.test")
	local, _ := split(ours)
	forger := route.ReturnPath{Domain: "bounce.platform.test", Key: []byte("another key")}
	forged := forger.Address(waypost.NewID())
	forgedLocal, _ := split(forged)
	for address, want := range map[string]string{
		ours:                                        "",
		strings.ToUpper(ours):                       "",
		m.returnPathAt("bounce.operator.test"):      "", // whose CNAME leads here
		m.returnPathAt("Bounce.Operator.TEST"):      "",
		forged:                                      "5.1.1",
		forgedLocal + "@bounce.operator.test":       "5.7.1",
		local + "@platform.test":                    "5.1.1",
		local + "@operator.test":                    "5.7.1",
		local + "@xbounce.operator.test":            "5.7.1",
		local + "@bounce":                           "5.7.1",
		local + "x@bounce.platform.test":            "5.1.1",
		local[:41] + "@bounce.platform.test":        "5.1.1",
		`"` + local + `"@bounce.platform.test`:      "5.1.1",
		local + "@bounce.a.test@bounce.b.test":      "5.7.1",
		"b-@bounce.platform.test":                   "5.1.1",
		local:                                       "5.7.1",
		"@bounce.platform.test":                     "5.1.1",
		"bounce." + ours[strings.Index(ours, "@"):]: "5.1.1",
	} {
		if got := code(m.Recipient(t.Context(), address, nil)); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

func TestAReturnPathIsAloneInItsTransaction(t *testing.T) {
	m := newMailbox(zones{})
	ours, other := m.returnPathAt("bounce.platform.test"), m.returnPathAt("bounce.operator.test")
	test := m.Tests.New(time.Now())
	for _, tc := range []struct {
		have []string
		next string
		want string
	}{
		{[]string{ours}, other, "4.5.3"},
		{[]string{ours}, ours, "4.5.3"},
		{[]string{ours}, "postmaster", "4.5.3"},
		{[]string{ours}, test.Address, "4.5.3"},
		{[]string{"postmaster"}, ours, "4.5.3"},
		{[]string{"postmaster", test.Address}, other, "4.5.3"},
		{[]string{"postmaster", "abuse@platform.test"}, test.Address, ""},
		{[]string{ours}, "someone@platform.test", "5.1.1"}, // wherever it is sent
		{[]string{ours}, "someone@elsewhere.test", "5.7.1"},
	} {
		err := m.Recipient(t.Context(), tc.next, tc.have)
		if got := code(err); got != tc.want {
			t.Errorf("%s beside %v: %q, want %q", tc.next, tc.have, got, tc.want)
		}
		if tc.want == "4.5.3" && waypost.KindOf(err) != waypost.RateLimited {
			t.Errorf("%s beside %v: %v is not temporary", tc.next, tc.have, waypost.KindOf(err))
		}
	}
}

func TestRoleMailOfANetworkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailbox(zones{})
		write := func(from string) error {
			var addr netip.Addr
			if from != "" {
				addr = netip.MustParseAddr(from)
			}
			test := m.Tests.New(time.Now())
			return m.Begin(t.Context(), []string{test.Address, "Abuse@Platform.TEST"}, addr)
		}
		for name, n := range map[string]struct {
			same  []string
			other string
		}{
			"IPv4":    {[]string{"192.0.2.1", "192.0.2.255", "::ffff:192.0.2.7"}, "192.0.3.1"},
			"IPv6":    {[]string{"2001:db8:1::1", "2001:db8:1:ffff::9"}, "2001:db8:2::1"},
			"unknown": {[]string{""}, "198.51.100.1"},
		} {
			taken := 0
			for begun := time.Now(); time.Since(begun) < time.Hour; <-time.After(10 * time.Second) {
				err := write(n.same[taken%len(n.same)])
				if err == nil {
					taken++
				} else if code(err) != "4.7.1" || waypost.KindOf(err) != waypost.RateLimited {
					t.Fatal(err)
				}
			}
			if taken < 15 || taken > 20 {
				t.Errorf("%s: %d mails within an hour", name, taken)
			}
			if err := write(n.other); err != nil {
				t.Errorf("%s: others pay for it: %v", name, err)
			}
			<-time.After(6 * time.Minute)
			if err := write(n.same[0]); err != nil {
				t.Errorf("%s: for ever: %v", name, err)
			}
		}
	})
}
