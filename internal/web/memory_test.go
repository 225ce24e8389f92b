package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

const mib = 1 << 20

// take asks for a large mail, and fails the test unless it is given or refused as wanted.
func take(t *testing.T, m *web.Memory, person, operator string, size int64, given bool) *web.Hold {
	t.Helper()
	h, err := m.Take(t.Context(), web.Claim{Person: person, Operator: operator, Size: size, Times: web.AsItIs})
	if given != (err == nil) {
		t.Fatalf("%s of %s, %d bytes: %v", person, operator, size, err)
	}
	if err != nil && (waypost.KindOf(err) != waypost.Unavailable || waypost.AsError(err).Code != "content_busy") {
		t.Errorf("%v", err)
	}
	return h
}

func TestAPersonHoldsAFewLargeMailsAndAnyNumberOfSmallOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := web.NewMemory(web.MemoryOptions{})
		var first *web.Hold
		for range 3 {
			first = take(t, m, "ann", "acme", mib, true)
		}
		began := time.Now()
		take(t, m, "ann", "acme", mib, false)
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("told after %v", waited)
		}
		for range 20 {
			take(t, m, "ann", "acme", 64<<10, true)
		}
		take(t, m, "bob", "acme", mib, true)
		go func() {
			<-time.After(time.Second)
			first.Release()
			first.Release() // counts once
		}()
		take(t, m, "ann", "acme", mib, true)
		take(t, m, "ann", "acme", mib, false)
	})
}

func TestAnOperatorHoldsHalfOfTheMemoryAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := web.NewMemory(web.MemoryOptions{Bytes: 40 * mib})
		acme := take(t, m, "ann", "acme", 9*mib, true) // 18
		take(t, m, "bob", "acme", 9*mib, false)
		other := take(t, m, "eve", "other", 9*mib, true)
		take(t, m, "sam", "third", 9*mib, false) // 36 of 40 are gone
		acme.Keep(9 * mib)                       // it is read: no second copy is needed
		take(t, m, "bob", "acme", 5*mib, true)
		acme.Release()
		other.Release()
		// Larger than there is: it goes alone, not never.
		take(t, m, "sam", "", 100*mib, false)
	})
	synctest.Test(t, func(t *testing.T) {
		m := web.NewMemory(web.MemoryOptions{Bytes: 40 * mib})
		all := take(t, m, "sam", "", 100*mib, true)
		take(t, m, "ann", "acme", mib, false)
		take(t, m, "ann", "acme", 1000, true)
		all.Release()
		take(t, m, "ann", "acme", 30*mib, true)
	})
}

func TestWhoIsGoneWaitsForNoMemory(t *testing.T) {
	m := web.NewMemory(web.MemoryOptions{Bytes: mib})
	all := take(t, m, "ann", "", mib, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Take(ctx, web.Claim{Person: "bob", Size: mib, Times: web.AsItIs}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	all.Release()
	take(t, m, "bob", "", mib, true)
}

// paced is a client that takes a second for each piece.
type paced struct {
	*httptest.ResponseRecorder
	largest   int
	deadline  time.Time
	deadlines int
}

// SetWriteDeadline implements what http.ResponseController looks for.
func (p *paced) SetWriteDeadline(at time.Time) error {
	p.deadline = at
	p.deadlines++
	return nil
}

// Write implements http.ResponseWriter.
func (p *paced) Write(b []byte) (int, error) {
	<-time.After(20 * time.Second)
	if time.Now().After(p.deadline) {
		return 0, context.DeadlineExceeded
	}
	p.largest = max(p.largest, len(b))
	return p.ResponseRecorder.Write(b)
}

func TestASlowClientIsServedToTheEndInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := web.NewMemory(web.MemoryOptions{})
		w := &paced{ResponseRecorder: httptest.NewRecorder()}
		head, body := []byte("head "), bytes.Repeat([]byte("0123456789"), 500_000)
		h := take(t, m, "ann", "acme", int64(len(body)), true)
		if err := h.Send(w, head, body); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(w.Body.Bytes(), append(head, body...)) {
			t.Error("something else arrived")
		}
		if w.largest > 256<<10 || w.deadlines != 1+(len(body)+256<<10-1)>>18 {
			t.Errorf("pieces of %d bytes, %d deadlines", w.largest, w.deadlines)
		}
	})
}

func TestAClientThatTakesNothingIsNotWaitedFor(t *testing.T) {
	m := web.NewMemory(web.MemoryOptions{Chunk: 50 * time.Millisecond})
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, err := m.Take(r.Context(), web.Claim{Person: "ann", Size: 64 * mib, Times: 1})
		if err == nil {
			err = h.Send(w, make([]byte, 64*mib)) // more than the network holds
			h.Release()
		}
		ended <- err
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if timeout, ok := errors.AsType[net.Error](<-ended); !ok || !timeout.Timeout() {
		t.Errorf("it ended with %v", timeout)
	}
}
