package engine_test

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost/internal/store/storetest"
)

// What a wire does to a COMMIT once.
const (
	passes int32 = iota
	losesQuestion
	losesAnswer
)

// wire stands between the engine and PostgreSQL and cuts connections at a COMMIT.
type wire struct {
	server string
	fault  atomic.Int32
	cuts   atomic.Int32
}

// newWire returns a wire and the URL by which the engine goes through it.
func newWire(t *testing.T, address string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	const socket = ".s.PGSQL.5432"
	w := &wire{server: filepath.Join(q.Get("host"), socket)}
	dir, err := os.MkdirTemp("", "wire") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go w.carry(client)
		}
	}()
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	return w, u.String()
}

func (w *wire) carry(client net.Conn) {
	server, err := net.Dial("unix", w.server)
	if err != nil {
		client.Close()
		return
	}
	var cutAnswer atomic.Bool
	copyUntil := func(to, from net.Conn, cut func(data []byte) bool) {
		defer to.Close()
		defer from.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil || cut(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	go copyUntil(client, server, func([]byte) bool { return cutAnswer.Load() })
	copyUntil(server, client, func(data []byte) bool {
		if !bytes.Contains(data, []byte("COMMIT")) {
			return false
		}
		fault := w.fault.Swap(passes)
		if fault != passes {
			w.cuts.Add(1)
		}
		cutAnswer.Store(fault == losesAnswer)
		return fault == losesQuestion
	})
}

// A connection that is lost during COMMIT leaves open what became of the group. The
// committer finds out: nobody hears of it, and nothing is written twice.
func TestALostCommitIsLookedUp(t *testing.T) {
	for name, fault := range map[string]int32{"question": losesQuestion, "answer": losesAnswer} {
		t.Run(name, func(t *testing.T) {
			w, address := newWire(t, storetest.PostgresURL(t))
			b := open(t, address)
			defer b.Close()
			for i := range 3 {
				w.fault.Store(fault)
				row := fmt.Sprint("row ", i)
				if err := b.write(row); err != nil || !b.has(t, row) {
					t.Errorf("%s: %v", row, err)
				}
			}
			// The plug's own try fails before its COMMIT; the group after it meets the fault.
			w.fault.Store(fault)
			for name, err := range b.grouped(t, "a", "b", "c") {
				if err != nil || !b.has(t, name) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if n := w.cuts.Load(); n != 4 {
				t.Errorf("%d connections were cut, want 4", n)
			}
		})
	}
}
