package smtpc_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost/internal/smtpc"
)

// sinkEnv makes the test binary a sink, so that benchmarks see the client's CPU
// time alone.
const sinkEnv = "WAYPOST_TEST_SINK"

func TestMain(m *testing.M) {
	if os.Getenv(sinkEnv) != "" {
		sink()
		return
	}
	goleak.VerifyTestMain(m)
}

// sink accepts everything, cheaply, until its standard input ends.
func sink() {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, l.Addr())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go sinkSession(conn)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func sinkSession(conn net.Conn) {
	defer conn.Close()
	br := bufio.NewReaderSize(conn, 256<<10)
	say := func(s string) { _, _ = io.WriteString(conn, s) }
	say("220 sink\r\n")
	out := ""
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case bytes.HasPrefix(line, []byte("EHLO")):
			out = "250-sink\r\n250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME\r\n"
		case bytes.HasPrefix(line, []byte("DATA")):
			say(out + "354 go\r\n")
			if sinkBody(br) != nil {
				return
			}
			out = "250 2.0.0 Ok: queued as 4XYZ\r\n"
		default:
			out += "250 2.1.0 Ok\r\n"
		}
		if br.Buffered() == 0 {
			say(out)
			out = ""
		}
	}
}

// sinkBody skips to the end of the message.
func sinkBody(br *bufio.Reader) error {
	end := []byte("\r\n.\r\n")
	for {
		if _, err := br.Peek(1); err != nil {
			return err
		}
		b, _ := br.Peek(br.Buffered())
		if bytes.HasSuffix(b, end) {
			_, _ = br.Discard(len(b))
			return nil
		}
		_, _ = br.Discard(max(1, len(b)-4))
	}
}

func BenchmarkSend5KiB(b *testing.B)   { benchmarkSend(b, 5<<10) }
func BenchmarkSend200KiB(b *testing.B) { benchmarkSend(b, 200<<10) }

func benchmarkSend(b *testing.B, size int) {
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), sinkEnv+"=1")
	stdin, err := cmd.StdinPipe()
	must(b, err)
	stdout, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	defer func() { _ = stdin.Close(); _ = cmd.Wait() }()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	must(b, err)

	line := strings.Repeat("x", 74) + "\r\n"
	body := []byte(strings.Repeat(line, size/len(line)))
	m := smtpc.Mail{
		From: "bounce+0123456789@bounce.client.test", Recipients: []string{"somebody@mx.test"},
		Message:   [][]byte{[]byte("DKIM-Signature: v=1; a=rsa-sha256\r\n"), []byte("Subject: hello\r\n\r\n"), body},
		BeforeDot: func() error { return nil },
	}
	const sessions = 8
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	pool := make(chan *smtpc.Session, sessions)
	for range sessions {
		s := dial(b, strings.TrimSpace(addr), smtpc.Options{})
		must(b, errors.Join(s.Greet(ctx), s.Hello(ctx)))
		pool <- s
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.SetParallelism(sessions / 2)
	before := cpu()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		s := <-pool
		for pb.Next() {
			if res, err := s.Send(ctx, m); err != nil || !res.Recipients[0].Delivered() {
				b.Error(err, res)
				return
			}
		}
		pool <- s
	})
	b.StopTimer()
	b.ReportMetric((cpu()-before).Seconds()/float64(b.N)*10_000, "CPU-s/10k")
}

// cpu is the CPU time this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
