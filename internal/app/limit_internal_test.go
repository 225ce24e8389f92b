package app

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestConnectionsAreBoundedInAllAndPerPeer(t *testing.T) {
	for name, c := range map[string]struct {
		total, perPeer int
		exempt         bool
		open           int // of 5 that connect
	}{
		"in all":               {3, 5, false, 3},
		"per peer":             {5, 2, false, 2},
		"a peer that may":      {5, 2, true, 5},
		"that may, but in all": {4, 2, true, 4},
	} {
		t.Run(name, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l := newLimited(inner, func(netip.Addr) bool { return c.exempt })
			l.total, l.perPeer = c.total, c.perPeer
			accepted := make(chan net.Conn, 10)
			go func() {
				defer close(accepted)
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte("x"))
					accepted <- conn
				}
			}()
			served := func() bool { // the byte, or the end
				conn, err := net.Dial("tcp", inner.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				_, err = io.ReadFull(conn, make([]byte, 1))
				return err == nil
			}
			open := 0
			for range 5 {
				if served() {
					open++
				}
			}
			if open != c.open {
				t.Errorf("%d connections are open, want %d", open, c.open)
			}
			first := <-accepted
			_ = first.Close()
			_ = first.Close() // counts once
			if !served() {
				t.Error("the room of a closed connection is not given back")
			}
			if c.open < 5 && served() {
				t.Error("a connection closed twice made room for two")
			}
			_ = l.Close()
			for conn := range accepted {
				_ = conn.Close()
			}
			if l.open != 0 || len(l.peers) != 0 {
				t.Errorf("%d connections, %d peers are remembered", l.open, len(l.peers))
			}
		})
	}
}

func TestAPeerIsAnAddressOrACustomersNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:5":          "192.0.2.1/32",
		"[::ffff:192.0.2.1]:5": "192.0.2.1/32",
		"[2001:db8::1]:5":      "2001:db8::/64",
		"[2001:db8:0:1::9]:5":  "2001:db8:0:1::/64",
	} {
		a := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
		if got := waypost.PeerNetwork(peerOf(fakeConn{remote: a})); got != netip.MustParsePrefix(want) {
			t.Errorf("%s: %s", addr, got)
		}
	}
}

type fakeConn struct {
	net.Conn
	remote net.Addr
}

func (c fakeConn) RemoteAddr() net.Addr { return c.remote }
