package submit_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/waypost"
)

func keyed(key string) waypost.Submission {
	s := submission()
	s.IdempotencyKey = key
	return s
}

func TestSameKeyAndBodyGiveTheOriginalAnswer(t *testing.T) {
	w := newWorld(t, nil)
	first := w.mustAccept(keyed("k"))
	before := w.rows()
	again := w.mustAccept(keyed("k"))
	if !again.Replayed || first.Replayed {
		t.Errorf("first %+v, again %+v", first, again)
	}
	again.Replayed = false
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
	if w.rows() != before || len(w.observed.sources) != 1 {
		t.Error("it was accepted twice")
	}
	w.settled(1, 0)
	w.mustAccept(keyed("another"))
	w.mustAccept(submission()) // no key, no memory
	w.mustAccept(submission())
}

func TestATestKeyDoesNotUseUpALiveMailsIdempotencyKey(t *testing.T) {
	w := newWorld(t, nil)
	rehearsal := keyed("k")
	rehearsal.Principal.Test = true
	first := w.mustAccept(rehearsal)
	live := w.mustAccept(keyed("k"))
	if live.Replayed || live.ID == first.ID {
		t.Errorf("the live mail was answered with the rehearsal's receipt: %+v", live)
	}
	for _, s := range []waypost.Submission{rehearsal, keyed("k")} {
		if again := w.mustAccept(s); !again.Replayed {
			t.Errorf("not replayed: %+v", again)
		}
	}
}

func TestKeyMayStandInTheHeader(t *testing.T) {
	w := newWorld(t, nil)
	s := submission("Idempotency-Key: k")
	first, again := w.mustAccept(s), w.mustAccept(s)
	if first.ID != again.ID || !again.Replayed {
		t.Errorf("%+v, %+v", first, again)
	}
}

func TestKeysAreTheOperatorsOwn(t *testing.T) {
	w := newWorld(t, nil)
	w.accounts["other"] = newAccount("other")
	w.mustAccept(keyed("k"))
	s := keyed("k")
	s.Principal.OperatorID = "other"
	if r := w.mustAccept(s); r.Replayed {
		t.Error("another operator's answer")
	}
}

func TestSameKeyAndAnotherBodyConflict(t *testing.T) {
	for name, change := range map[string]func(*waypost.Submission){
		"message":      func(s *waypost.Submission) { s.Message = append(s.Message, "more\r\n"...) },
		"recipients":   func(s *waypost.Submission) { s.Recipients = []string{"another@example.test"} },
		"sender":       func(s *waypost.Submission) { s.MailFrom = "another@op.test" },
		"request hash": func(s *waypost.Submission) { s.BodySHA256 = []byte("another request") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.mustAccept(keyed("k"))
			before := w.rows()
			s := keyed("k")
			change(&s)
			_, err := w.accept(s)
			refused(t, err, waypost.Conflict, "idempotency_key_reused", "5.6.0")
			if w.rows() != before {
				t.Error("something was written")
			}
			w.settled(1, 0)
		})
	}
}

// A program that never got the answer asks again later, when other things are so.
func TestOriginalAnswerIsGivenWhateverHasChanged(t *testing.T) {
	soon := time.Now().Add(time.Minute).UTC()
	withTimes := func() waypost.Submission {
		s := keyed("k")
		s.ExpiresAt = soon
		return s
	}
	for name, change := range map[string]func(w *world, s *waypost.Submission){
		"no gateway any more": func(w *world, _ *waypost.Submission) { w.accounts["op"].Gateway = "" },
		"suspended":           func(w *world, _ *waypost.Submission) { w.accounts["op"].Suspended = true },
		"expired meanwhile":   func(_ *world, s *waypost.Submission) { s.ExpiresAt = time.Now().Add(-time.Second) },
		"rate used up":        func(w *world, _ *waypost.Submission) { _, _ = w.accept(keyed("x")); _, _ = w.accept(keyed("y")) },
		"From not a sender now": func(w *world, s *waypost.Submission) {
			w.accounts["op"].Senders = nil
			s.Principal.FromPolicy = waypost.FromRefuse
		},
		"the queue is full":       func(w *world, _ *waypost.Submission) { w.queue.full = true },
		"recipient is suppressed": func(w *world, _ *waypost.Submission) { w.suppress("someone@example.test", waypost.SuppressedManual) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *submit.Options) { o.Limits.PerMinute = 2 })
			first := w.mustAccept(withTimes())
			s := withTimes()
			change(w, &s)
			if again := w.mustAccept(s); again.ID != first.ID || !again.Replayed {
				t.Errorf("first %+v, again %+v", first, again)
			}
		})
	}
}

func TestWhoMayNotSendGetsNoOriginalAnswer(t *testing.T) {
	w := newWorld(t, nil)
	w.mustAccept(keyed("k"))
	s := keyed("k")
	s.Principal.Scopes = nil
	_, err := w.accept(s)
	refused(t, err, waypost.Forbidden, "scope_missing", "5.7.1")
}

func TestConcurrentSubmissionsWithOneKeyAreOneMessage(t *testing.T) {
	w := newWorld(t, nil)
	const n = 16
	receipts := make([]waypost.Receipt, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { receipts[i], errs[i] = w.accept(keyed("k")) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	fresh := 0
	for _, r := range receipts {
		if !r.Replayed {
			fresh++
		}
		if r.ID != receipts[0].ID || r.Deliveries[0].ID != receipts[0].Deliveries[0].ID {
			t.Errorf("receipts %+v and %+v", receipts[0], r)
		}
	}
	if fresh != 1 || w.db.Int(t, "SELECT count(*) FROM message") != 1 || w.db.Int(t, "SELECT count(*) FROM body") != 1 {
		t.Errorf("%d fresh receipts; %s", fresh, w.rows())
	}
	w.settled(1, w.queue.reserved-1)
}

func TestConcurrentSubmissionsWithOneKeyAndOtherBodiesConflict(t *testing.T) {
	w := newWorld(t, nil)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			s := keyed("k")
			s.Message = append(s.Message, strings.Repeat("x", i)+"\r\n"...)
			_, errs[i] = w.accept(s)
		})
	}
	wg.Wait()
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
			continue
		}
		refused(t, err, waypost.Conflict, "idempotency_key_reused", "5.6.0")
	}
	if accepted != 1 || w.db.Int(t, "SELECT count(*) FROM message") != 1 {
		t.Errorf("%d accepted; %s", accepted, w.rows())
	}
	w.settled(1, w.queue.reserved-1)
}
