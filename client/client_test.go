package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/client"
)

// answers is a server's side of a conversation: one answer after the other.
type answers []func(w http.ResponseWriter, r *http.Request)

// RoundTrip implements http.RoundTripper.
func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if len(*a) == 0 {
		return nil, errors.New("one request too many")
	}
	next := (*a)[0]
	*a = (*a)[1:]
	rec := httptest.NewRecorder()
	next(rec, r)
	return rec.Result(), nil
}

func busy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "7")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"status":503,"code":"busy","detail":"try again"}`))
}

func accepted(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write([]byte(`{"id":"m1","deliveries":[]}`))
}

func talk(a answers) (*client.Client, *answers) {
	c := client.New("http://waypost.invalid/", "wp_live_key")
	c.HTTP, c.Retries = &http.Client{Transport: &a}, 3
	return c, &a
}

func TestSendIsRepeatedWithAnIdempotencyKeyAfterWhatTheServerAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := talk(answers{busy, busy, accepted})
		began := time.Now()
		r, err := c.Send(t.Context(), client.NewMessage{IdempotencyKey: "k"})
		if err != nil || r.ID != "m1" {
			t.Errorf("Send = %+v, %v", r, err)
		}
		if took := time.Since(began); took != 14*time.Second {
			t.Errorf("it took %v, want 14 s", took)
		}
	})
}

func TestSendIsNotRepeatedWithoutAKey(t *testing.T) {
	c, left := talk(answers{busy, accepted})
	_, err := c.Send(t.Context(), client.NewMessage{})
	if !client.Is(err, "busy") || len(*left) != 1 {
		t.Errorf("err = %v with %d answers left", err, len(*left))
	}
	if e, ok := errors.AsType[*client.Error](err); !ok || !e.Temporary() || e.RetryAfter != 7*time.Second {
		t.Errorf("err = %+v", err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := talk(answers{busy, accepted})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Settings(ctx); !errors.Is(err, context.DeadlineExceeded) || !client.Is(err, "busy") {
			t.Errorf("err = %v", err)
		}
	})
}

func TestAnAnswerThatIsNotOursIsAnErrorToo(t *testing.T) {
	c, _ := talk(answers{func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("<html>" + strings.Repeat("x", 1000)))
	}})
	_, err := c.Settings(t.Context())
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Status != http.StatusNotFound || e.Code != "unknown" || len(e.Detail) > 300 {
		t.Errorf("err = %v", err)
	}
}

func TestKeyAndOperatorAreSent(t *testing.T) {
	c, _ := talk(answers{func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "http://waypost.invalid/v1/messages/a%2Fb" || r.Header.Get("Authorization") != "Bearer wp_live_key" || r.Header.Get("X-Waypost-Operator") != "op" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		_, _ = w.Write([]byte(`{}`))
	}})
	if _, err := c.For("op").Message(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
	if c.Operator != "" {
		t.Error("For changed the client it was called on")
	}
}

func TestListsGoOnAtTheirCursorAndStopWhenTheReaderDoes(t *testing.T) {
	page := func(body, cursor string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.Query().Get("cursor"); got != cursor {
				t.Errorf("cursor = %q, want %q", got, cursor)
			}
			_, _ = w.Write([]byte(body))
		}
	}
	c, _ := talk(answers{page(`{"items":[{"id":"1"},{"id":"2"}],"next":"2"}`, ""), page(`{"items":[],"next":"9"}`, "2"), page(`{"items":[{"id":"3"}],"next":""}`, "9")})
	var got string
	for m, err := range c.Messages(t.Context(), client.MessageFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		got += m.ID
	}
	if got != "123" {
		t.Errorf("got %q", got)
	}
	c, left := talk(answers{page(`{"items":[{"id":"1"},{"id":"2"}],"next":"2"}`, ""), accepted})
	for range c.Sandbox(t.Context()) {
		break
	}
	if len(*left) != 1 {
		t.Error("a page was asked for that nobody wanted")
	}
}
