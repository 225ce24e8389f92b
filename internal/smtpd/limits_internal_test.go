package smtpd

import (
	"net/netip"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

func TestLoginLimitsAreSpentPerClientAndComeBack(t *testing.T) {
	l := newLoginLimits()
	now := testTime()
	peer := peerAddr(1)
	for range loginBurst {
		if l.spent(peer, now) {
			t.Fatal("spent before the burst was used up")
		}
		l.failed(peer, now)
	}
	if !l.spent(peer, now) {
		t.Error("not spent after the burst")
	}
	if l.spent(peer, now.Add(loginEvery)) {
		t.Error("still spent when a token has come back")
	}
	if l.spent(peerAddr(2), now) {
		t.Error("another client is limited")
	}
}

func TestLoginLimitsRememberBoundedClients(t *testing.T) {
	l := newLoginLimits()
	for i := range loginClients + 500 {
		l.failed(peerAddr(i), testTime())
	}
	if n := len(l.clients); n > loginClients {
		t.Errorf("%d clients remembered", n)
	}
}

func TestPeerLimitsForgetWhoLeft(t *testing.T) {
	l := newPeerLimits(3, 2)
	a, b := peerAddr(1), peerAddr(2)
	for i, want := range []string{connAccepted, connAccepted, connRefusedPeer} {
		if got := l.enter(a, false); got != want {
			t.Fatalf("connection %d: %s, want %s", i, got, want)
		}
	}
	if got := l.enter(a, true); got != connAccepted {
		t.Errorf("exempt: %s", got)
	}
	if got := l.enter(b, true); got != connRefusedTotal {
		t.Errorf("over the total: %s", got)
	}
	for range 3 {
		l.leave(a)
	}
	if len(l.peers) != 0 || l.total != 0 {
		t.Errorf("left over: %v, %d", l.peers, l.total)
	}
}

func testTime() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func peerAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestPeerKeyJoinsOneIPv6Site(t *testing.T) {
	a, b, c := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:0:1::1")
	if waypost.PeerNetwork(a) != waypost.PeerNetwork(b) || waypost.PeerNetwork(a) == waypost.PeerNetwork(c) {
		t.Error("want one key per /64")
	}
	if waypost.PeerNetwork(peerAddr(1)) == waypost.PeerNetwork(peerAddr(2)) {
		t.Error("want one key per IPv4 address")
	}
}
