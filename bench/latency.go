package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// latency is how long a client waits for its mail to be taken, from MAIL to the
// reply after the final dot.
type latency struct{ p50, p99 time.Duration }

// timeAccepts sends count messages over kept sessions, each at full speed like
// smtp-source, which has no such figures, and times every one of them.
func timeAccepts(ctx context.Context, addr string, sessions, count, size int) (latency, error) {
	var (
		next  atomic.Int64
		group sync.WaitGroup
		took  = make([]time.Duration, count)
		errs  = make(chan error, sessions)
		mail  = makeMail(size)
	)
	for range sessions {
		group.Go(func() {
			errs <- timeSession(ctx, addr, mail, func() *time.Duration {
				if i := next.Add(1); i <= int64(count) {
					return &took[i-1]
				}
				return nil
			})
		})
	}
	group.Wait()
	for range sessions {
		if err := <-errs; err != nil {
			return latency{}, err
		}
	}
	slices.Sort(took)
	return latency{p50: percentile(took, 50), p99: percentile(took, 99)}, nil
}

// timeSession is one kept session: it sends mails and writes how long each took
// to where next says, until next has no more.
func timeSession(ctx context.Context, addr string, mail []byte, next func() *time.Duration) error {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()

	c := client{raw: raw, text: textproto.NewReader(bufio.NewReader(raw))}
	c.expect(220)
	c.say(250, "EHLO tracker.test\r\n")
	for took := next(); took != nil && c.err == nil; took = next() {
		begin := time.Now()
		c.say(250, "MAIL FROM:<"+senderAddress+">\r\n")
		c.say(250, "RCPT TO:<"+recipient+">\r\n")
		c.say(354, "DATA\r\n")
		c.say(250, string(mail))
		*took = time.Since(begin)
	}
	c.say(221, "QUIT\r\n")
	return c.err
}

// client speaks just enough SMTP; after an error it does nothing more.
type client struct {
	raw  net.Conn
	text *textproto.Reader
	err  error
}

func (c *client) say(code int, what string) {
	if c.err != nil {
		return
	}
	if _, c.err = c.raw.Write([]byte(what)); c.err == nil {
		c.expect(code)
	}
}

func (c *client) expect(code int) {
	if c.err == nil {
		_, _, c.err = c.text.ReadResponse(code)
	}
}

// makeMail returns a mail of about size bytes in the form smtp-source sends, with
// the final dot.
func makeMail(size int) []byte {
	line := strings.Repeat("X", 78) + "\r\n"
	var b strings.Builder
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\nSubject: Geofence entered\r\n\r\n",
		senderAddress, recipient, time.Now().Format(time.RFC1123Z))
	for range size / len(line) {
		b.WriteString(line)
	}
	b.WriteString(".\r\n")
	return []byte(b.String())
}

// percentile returns the smallest value that p percent of the sorted values do not
// exceed (nearest rank).
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}
