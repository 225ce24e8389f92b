package waypost_test

import (
	"net/netip"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestAClientIsANetworkWithinASite(t *testing.T) {
	for peer, want := range map[string][2]string{
		"192.0.2.7": {"192.0.2.7/32", ""}, "::ffff:192.0.2.7": {"192.0.2.7/32", ""},
		"2001:db8:1:2:3::4": {"2001:db8:1:2::/64", "2001:db8:1::/48"}, "fe80::1%eth0": {"fe80::/64", "fe80::/48"}, "": {"", ""},
	} {
		addr, _ := netip.ParseAddr(peer)
		for i, got := range []netip.Prefix{waypost.PeerNetwork(addr), waypost.PeerSite(addr)} {
			if text := got.String(); text != want[i] && (got.IsValid() || want[i] != "") {
				t.Errorf("%s: %s, want %q", peer, text, want[i])
			}
		}
	}
}
