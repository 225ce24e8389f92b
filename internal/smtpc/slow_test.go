package smtpc_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// drip is a server that reads as it should up to a command that begins with from, and
// then one byte at a time.
func drip(conn net.Conn, from string, every time.Duration) {
	defer conn.Close()
	br := bufio.NewReaderSize(conn, 16) // the smallest there is: what it buffers is taken at once
	_, _ = io.WriteString(conn, "220 mx.test\r\n")
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "DATA") {
			_, _ = io.WriteString(conn, "354 go ahead\r\n")
		} else {
			_, _ = io.WriteString(conn, "250 mx.test\r\n")
		}
		if strings.HasPrefix(line, from) {
			break
		}
	}
	for {
		<-time.After(every)
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return
		}
	}
}

func TestPeerThatTakesAByteNowAndThenIsGivenUp(t *testing.T) {
	for name, tt := range map[string]struct {
		from  string
		every time.Duration // within the limits for a block and for a command
		phase waypost.Phase
		limit time.Duration
	}{
		"of the message":  {"DATA", 50 * time.Second, waypost.PhaseData, 10*time.Minute + 200*time.Second},
		"of the envelope": {"EHLO", 4 * time.Minute, waypost.PhaseMail, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				var server sync.WaitGroup
				defer server.Wait()
				server.Go(func() { drip(there, tt.from, tt.every) })
				s := smtpc.New(here, smtpc.Options{HELO: "client.test"})
				defer s.Close()
				must(t, s.Greet(t.Context()))
				must(t, s.Hello(t.Context()))
				m := letter("x@mx.test")
				m.Message = [][]byte{[]byte(strings.Repeat(strings.Repeat("x", 62)+"\r\n", 3200))} // 200 KiB
				began := time.Now()
				res, err := s.Send(t.Context(), m)
				e := broken(t, err, tt.phase)
				if !errors.Is(e, smtpc.ErrSlow) || !errors.Is(e, os.ErrDeadlineExceeded) || e.Uncertain() || res.Dotted || s.Usable() {
					t.Errorf("got %v, %+v", e, res)
				}
				// A second more: what a peer that stopped listening may still say.
				if took := time.Since(began); took < tt.limit || took > tt.limit+5*time.Second {
					t.Errorf("given up after %v, want %v", took, tt.limit)
				}
			})
		})
	}
}

func TestPeerThatIsSlowButKeepsUpGetsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		got := make(chan int, 1)
		go func() {
			defer there.Close()
			br := bufio.NewReaderSize(there, 16)
			for _, answer := range []string{"220 mx.test", "250 mx.test", "250 ok", "250 ok", "354 go ahead"} {
				_, _ = io.WriteString(there, answer+"\r\n")
				if answer != "354 go ahead" {
					_, _ = br.ReadString('\n')
				}
			}
			n := 0
			buf := make([]byte, 2<<10)
			for last := ""; !strings.HasSuffix(last, "\r\n.\r\n"); {
				<-time.After(time.Second)
				k, err := there.Read(buf)
				if err != nil {
					return
				}
				n += k
				if last += string(buf[:k]); len(last) > 5 {
					last = last[len(last)-5:]
				}
			}
			got <- n
			_, _ = io.WriteString(there, "250 queued\r\n")
		}()
		s := smtpc.New(here, smtpc.Options{HELO: "client.test"})
		defer s.Close()
		must(t, s.Greet(t.Context()))
		must(t, s.Hello(t.Context()))
		m := letter("x@mx.test")
		m.Message = [][]byte{[]byte(strings.Repeat(strings.Repeat("x", 62)+"\r\n", 32000))} // 2,000 KiB in 1,000 s
		res, err := s.Send(t.Context(), m)
		must(t, err)
		if n := <-got; !res.Recipients[0].Delivered() || n != 64*32000+3 {
			t.Errorf("the peer has %d bytes", n)
		}
	})
}
