package smtpd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/internal/waypost"
)

// The load comes from a process of its own (this test binary, started again), so
// that the CPU time of this one is the server's alone.
const (
	benchClientEnv = "SMTPD_BENCH_CLIENT" // address of the server
	benchConns     = 20
)

func BenchmarkSession5KiB(b *testing.B)   { benchSession(b, 5<<10) }
func BenchmarkSession200KiB(b *testing.B) { benchSession(b, 200<<10) }

func benchSession(b *testing.B, size int) {
	b.Run("smtpd", func(b *testing.B) {
		var got atomic.Int64
		s := start(b, &backend{accept: func(_ context.Context, s waypost.Submission) (waypost.Receipt, error) {
			got.Add(int64(len(s.Message)))
			return waypost.Receipt{ID: "x"}, nil
		}}, nil)
		benchServer(b, s.addr, size)
		if got.Load() == 0 {
			b.Error("nothing was received")
		}
	})
	b.Run("go-smtp", func(b *testing.B) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := smtp.NewServer(discardBackend{})
		served := make(chan error, 1)
		go func() { served <- s.Serve(ln) }()
		benchServer(b, ln.Addr().String(), size)
		s.Close()
		<-served
	})
}

// benchServer hands b.N mails to a server and reports its CPU seconds for 10,000.
func benchServer(b *testing.B, addr string, size int) {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe, fmt.Sprintf("%d,%d", b.N, size))
	cmd.Env = append(os.Environ(), benchClientEnv+"="+addr)
	cmd.Stderr = os.Stderr
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N)*10_000, "cpu-s/10k")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchClient sends "count,size" mails over kept connections, one command a round trip, as
// smtp-source does.
func benchClient(addr, arg string) error {
	var count, size int64
	if _, err := fmt.Sscanf(arg, "%d,%d", &count, &size); err != nil {
		return err
	}
	line := strings.Repeat("x", 76) + "\r\n"
	mail := []byte("Subject: x\r\n\r\n" + strings.Repeat(line, int(size)/len(line)) + ".\r\n")
	var left atomic.Int64
	left.Store(count)
	var g errgroup.Group
	for range benchConns {
		g.Go(func() error {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			say := func(p []byte, want byte) error {
				if _, err := conn.Write(p); err != nil {
					return err
				}
				for {
					got, err := r.ReadSlice('\n')
					if err != nil {
						return err
					}
					if got[0] != want {
						return fmt.Errorf("%.20q: got %q", p, got)
					}
					if got[3] == ' ' {
						return nil
					}
				}
			}
			if err := say(nil, '2'); err != nil {
				return err
			}
			if err := say([]byte("EHLO x\r\n"), '2'); err != nil {
				return err
			}
			for left.Add(-1) >= 0 {
				for _, step := range []struct {
					say  string
					want byte
				}{{"MAIL FROM:<a@b.test>\r\n", '2'}, {"RCPT TO:<c@d.test>\r\n", '2'}, {"DATA\r\n", '3'}} {
					if err := say([]byte(step.say), step.want); err != nil {
						return err
					}
				}
				if err := say(mail, '2'); err != nil {
					return err
				}
			}
			return say([]byte("QUIT\r\n"), '2')
		})
	}
	return g.Wait()
}

type discardBackend struct{}

func (discardBackend) NewSession(*smtp.Conn) (smtp.Session, error) { return discardSession{}, nil }

type discardSession struct{}

func (discardSession) Reset()                               {}
func (discardSession) Logout() error                        { return nil }
func (discardSession) Mail(string, *smtp.MailOptions) error { return nil }
func (discardSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (discardSession) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }
