package deliver

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/smtpc"
)

// idle is a session that is ready for a mail, over a pipe to a server that says yes to
// everything until the other side closes.
func idle(t *testing.T, ended chan<- string, name string) *session {
	t.Helper()
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		b := make([]byte, 512)
		_, _ = there.Write([]byte("220 x\r\n"))
		for {
			if _, err := there.Read(b); err != nil {
				if ended != nil {
					ended <- name
				}
				return
			}
			_, _ = there.Write([]byte("250 x\r\n"))
		}
	}()
	s := &session{Session: smtpc.New(here, smtpc.Options{}), host: name, most: 100}
	t.Cleanup(func() { s.Close() })
	if err := errors.Join(s.Greet(t.Context()), s.Hello(t.Context())); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPoolGivesTheLastUsedAndEndsTheUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(time.Minute, 10, 100)
		ended := make(chan string, 10)
		a, b := idle(t, ended, "a"), idle(t, ended, "b")
		p.give("k", a)
		pass(30 * time.Second)
		p.give("k", b)
		if p.take("other") != nil {
			t.Error("a session to another place")
		}
		if s := p.take("k"); s != b {
			t.Error("not the last used")
		}
		p.give("k", b)
		pass(31 * time.Second) // a is past its minute, b was greeted with it
		synctest.Wait()
		if len(ended) != 2 {
			t.Errorf("%d ended", len(ended))
		}
		if p.take("k") != nil {
			t.Error("an ended session is kept")
		}
		p.close()
	})
}

func TestFullPoolEndsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(time.Minute, 2, 100)
		ended := make(chan string, 10)
		for _, name := range []string{"a", "b", "c"} {
			p.give(name, idle(t, ended, name))
		}
		if got := <-ended; got != "a" {
			t.Errorf("%s was ended", got)
		}
		if p.take("a") != nil || p.take("b") == nil || p.take("c") == nil {
			t.Error("the wrong ones are kept")
		}
	})
}

func TestClosedPoolKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(time.Minute, 10, 100)
		ended := make(chan string, 10)
		p.give("k", idle(t, ended, "a"))
		p.close()
		p.close()
		p.give("k", idle(t, ended, "b"))
		synctest.Wait()
		if len(ended) != 2 || p.take("k") != nil {
			t.Errorf("%d ended", len(ended))
		}
	})
}

func TestWhoWaitsGetsTheSessionGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(time.Minute, 10, 100)
		s := idle(t, nil, "a")
		var first, second, late *session
		var wg sync.WaitGroup
		wg.Go(func() { first = p.await(t.Context(), "k", time.Minute) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { second = p.await(ctx, "k", time.Minute) })
		wg.Go(func() { late = p.await(t.Context(), "k", time.Second) })
		synctest.Wait()
		cancel()
		pass(2 * time.Second)
		synctest.Wait()
		p.give("k", s)
		wg.Wait()
		if first != s || second != nil || late != nil {
			t.Errorf("first %v, interrupted %v, late %v", first, second, late)
		}
		if p.take("k") != nil || len(p.waiting) != 0 {
			t.Errorf("kept as well, or %d still wait", len(p.waiting))
		}
		s.Close()
	})
}

func TestNoMinuteHasMoreLoginsThanAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(t, "per minute")
		l := newLogins(most)
		now := time.Unix(1e9, 0)
		var times []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "tries") {
			wait := l.next("relay", now)
			if wait == 0 {
				times = append(times, now)
			} else if wait < 0 || wait > time.Minute {
				t.Fatalf("wait for %v", wait)
			}
			if n := len(times) - 1; n >= most && times[n].Sub(times[n-most]) < time.Minute {
				t.Fatalf("%d logins within %v", most+1, times[n].Sub(times[n-most]))
			}
			if rapid.Bool().Draw(t, "patient") {
				now = now.Add(wait)
				if wait > 0 && l.next("another", now.Add(-time.Hour)) != 0 {
					t.Fatal("another relay waits too")
				}
				l = copyOf(l, "another")
			} else {
				now = now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "ms")) * time.Millisecond)
			}
		}
	})
}

// copyOf is l without what it knows of a key.
func copyOf(l *logins, without string) *logins {
	delete(l.recent, without)
	return l
}

func TestLoginsOfManyRelaysAreForgotten(t *testing.T) {
	l := newLogins(1)
	now := time.Unix(1e9, 0)
	for n := range 3 * maxLoginKeys {
		if l.next(string(rune('a'+n%26))+time.Duration(n).String(), now) != 0 {
			t.Fatal("a fresh relay waits")
		}
		now = now.Add(10 * time.Millisecond)
	}
	if n := len(l.recent); n > maxLoginKeys+1 {
		t.Errorf("%d are remembered", n)
	}
}

func TestMemoryForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(time.Hour, 2)
		m.add("a")
		pass(59 * time.Minute)
		if !m.has("a") || m.has("b") {
			t.Error("forgotten too early, or made up")
		}
		pass(time.Minute)
		if m.has("a") || len(m.till) != 0 {
			t.Error("remembered too long")
		}
		for _, key := range []string{"a", "b", "c", "d"} {
			m.add(key)
		}
		if len(m.till) > 2 || !m.has("d") {
			t.Errorf("%d remembered", len(m.till))
		}
	})
}

func TestSignatureErrorsAndPanicsAreNotRemembered(t *testing.T) {
	s := newSignatures()
	key := signatureKey{message: "m"}
	bad := errors.New("no")
	if _, err := s.get(key, func() ([]byte, error) { return nil, bad }); !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = s.get(key, func() ([]byte, error) { panic("x") })
	}()
	// What panicked must never pass for an empty signature.
	if field, err := s.get(key, func() ([]byte, error) { return []byte("sig"), nil }); err == nil && string(field) != "sig" {
		t.Errorf("got %q, %v", field, err)
	}
	if field, err := s.get(key, func() ([]byte, error) { return []byte("sig"), nil }); err != nil || string(field) != "sig" {
		t.Errorf("got %q, %v", field, err)
	}
}

func TestSignaturesAreForgottenInOrder(t *testing.T) {
	s := newSignatures()
	made := 0
	get := func(id string) {
		_, _ = s.get(signatureKey{message: id}, func() ([]byte, error) { made++; return []byte(id), nil })
	}
	for n := range 3 * keptSignatures {
		get(time.Duration(n).String())
	}
	if len(s.made) > keptSignatures {
		t.Errorf("%d are kept", len(s.made))
	}
	before := made
	get(time.Duration(3*keptSignatures - 1).String())
	if made != before {
		t.Error("the last one was forgotten")
	}
	get(time.Duration(0).String())
	if made != before+1 {
		t.Error("the first one was kept")
	}
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }
