package inbound

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Tests are one-time addresses that somebody waits at. It is safe for concurrent use.
type Tests struct {
	domain string // where the addresses are
	judge  *Judge
	slots  chan struct{} // one is held by each message that is judged

	mu    sync.Mutex
	tests map[string]*Test // by local part
}

// Test is one address.
type Test struct {
	Address string
	made    time.Time
	expires time.Time
	arrived chan waypost.Reception // has room for the only one
}

// Bounds of the addresses.
const (
	testLife  = 15 * time.Minute
	maxTests  = 20_000 // more than a hundred operators can ask for in that time
	testLocal = "test-"
	judgeTime = 30 * time.Second
	maxAtOnce = 4 // messages judged at the same time
)

// NewTests returns addresses at a domain, whose mail judge judges.
func NewTests(domain string, judge *Judge) *Tests {
	return &Tests{domain: domain, judge: judge, slots: make(chan struct{}, maxAtOnce), tests: map[string]*Test{}}
}

// New makes an address; nil if there are too many already.
func (t *Tests) New(now time.Time) *Test {
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails
	local := testLocal + strings.ToLower(base32.StdEncoding.EncodeToString(random[:]))
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.tests) >= maxTests {
		maps.DeleteFunc(t.tests, func(_ string, old *Test) bool { return now.After(old.expires) })
		if len(t.tests) >= maxTests {
			return nil
		}
	}
	test := &Test{Address: local + "@" + t.domain, made: now, expires: now.Add(testLife), arrived: make(chan waypost.Reception, 1)}
	t.tests[local] = test
	return test
}

// Arrived yields what was made of the mail once it is there.
func (t *Test) Arrived() <-chan waypost.Reception { return t.arrived }

// waits reports whether somebody waits for mail at a local part.
func (t *Tests) waits(local string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	test := t.tests[strings.ToLower(local)]
	return test != nil && !now.After(test.expires)
}

// take uses an address up.
func (t *Tests) take(local string, now time.Time) *Test {
	t.mu.Lock()
	defer t.mu.Unlock()
	local = strings.ToLower(local)
	test := t.tests[local]
	if test == nil || now.After(test.expires) {
		return nil
	}
	delete(t.tests, local)
	return test
}

// receive judges a message for all who wait for it. The error says that it could not be
// judged now; then nobody has got it.
func (t *Tests) receive(ctx context.Context, locals []string, a Arrival) error {
	ctx, cancel := context.WithTimeout(ctx, judgeTime)
	defer cancel()
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return waypost.NewError(waypost.Unavailable, "busy", "too many messages at once, try again later")
	}
	var waiting []*Test
	for _, local := range locals {
		if test := t.take(local, time.Now()); test != nil {
			waiting = append(waiting, test)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	v := t.judge.Judge(ctx, a)
	for _, test := range waiting {
		v.Latency = a.At.Sub(test.made)
		test.arrived <- v
	}
	return nil
}
