package deliver_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/dkim"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/waypost"
)

// sink takes every mail and remembers nothing. It pipelines.
func sink(b *testing.B) (port int) {
	b.Helper()
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go sinkSession(conn)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func sinkSession(conn net.Conn) {
	defer conn.Close()
	br := bufio.NewReaderSize(conn, 64<<10)
	_, _ = io.WriteString(conn, "220 sink\r\n")
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return
		}
		switch line[0] {
		case 'E':
			_, _ = io.WriteString(conn, "250-sink\r\n250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME\r\n")
		case 'D':
			_, _ = io.WriteString(conn, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n")
			for line, err = br.ReadSlice('\n'); err == nil && !bytes.Equal(line, []byte(".\r\n")); {
				line, err = br.ReadSlice('\n')
			}
			_, _ = io.WriteString(conn, "250 2.0.0 Ok: queued\r\n")
		case 'Q':
			return
		}
	}
}

// BenchmarkDirect5KiB sends mails of 5 KiB over kept sessions to a sink in the same
// process; "unsigned" goes to the same sink as an operator's own server.
func BenchmarkDirect5KiB(b *testing.B) {
	port := sink(b)
	w := newWorld(b, dnstest.Zones{"example.test": {"A 127.0.0.1"}}, func(o *deliver.Options) {
		o.MXPort, o.Keys = port, newKeys(b, dkim.OpenEngine())
	})
	body := strings.Repeat("A line of a notification, as long as they are in real life.\r\n", 84)
	for _, kind := range []waypost.RouteKind{waypost.RouteDirect, waypost.RouteRelay} {
		b.Run(string(kind), func(b *testing.B) {
			j := newJob([]string{"someone@example.test"})
			j.Route, j.Site, j.Relay = kind, "example.test", &waypost.Relay{Host: "127.0.0.1", Port: port}
			ok := 0
			j.Report = func(_ int, a waypost.Attempt) {
				if a.Outcome == delivered {
					ok++
				}
			}
			m := newMessage(usualHeader, body)
			j.Message = m
			b.ReportAllocs()
			for b.Loop() {
				m.ID = waypost.NewID() // or the signature would be shared
				w.d.Deliver(context.Background(), &j.Job)
			}
			if ok != b.N {
				b.Fatalf("%d of %d delivered", ok, b.N)
			}
		})
	}
}
