package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func TestAReceiverWithTheReferenceLibraryVerifiesCalls(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		w := newWorld(t, db)
		r := newReceiver(t)
		_, r.secret = w.hook(t, r.URL+"/hook?x=1")
		w.start(t)
		d := w.mail(t, storetest.Mail{Tags: []string{"fleet"}, Subject: "must not be told"})
		w.finish(t, d[0], waypost.Bounced, func(f *system.Finish) { f.Symptom = waypost.SuppressedHard })
		r.until(t, "all events", func() bool { return len(r.taken()) >= 3 })
		w.idle(t)
		got := map[waypost.WebhookType]told{}
		for _, e := range r.taken() {
			got[e.Type] = e
		}
		for _, c := range r.all() {
			if strings.Contains(string(c.body), "must not be told") {
				t.Errorf("a subject was told: %s", c.body)
			}
			if c.header.Get("Content-Type") != "application/json" || c.header.Get("Idempotency-Key") != "" {
				t.Errorf("header %v", c.header)
			}
		}
		var accepted waypost.WebhookMessageData
		var bounced waypost.WebhookDeliveryData
		var suppressed waypost.WebhookSuppressionData
		for kind, into := range map[waypost.WebhookType]any{
			waypost.WebhookAccepted: &accepted, waypost.WebhookBounced: &bounced, waypost.WebhookSuppress: &suppressed,
		} {
			if err := json.Unmarshal(got[kind].Data, into); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
		}
		if accepted.MessageID != d[0].MessageID || accepted.Deliveries != 1 || len(accepted.Tags) != 1 || accepted.Kind != waypost.KindEvent {
			t.Errorf("accepted: %+v", accepted)
		}
		if a := bounced.Attempt; bounced.DeliveryID != d[0].ID || bounced.Recipient != d[0].Recipient || bounced.Before != waypost.Queued ||
			bounced.After != waypost.Bounced || bounced.Class != "bad_mailbox" || a == nil || a.Code != 550 || a.Host != "mx.example.test" {
			t.Errorf("bounced: %+v", bounced)
		}
		if suppressed.Address != d[0].Recipient || suppressed.Reason != waypost.SuppressedHard || suppressed.ExpiresAt == "" || suppressed.MessageID != d[0].MessageID {
			t.Errorf("suppressed: %+v", suppressed)
		}
	})
}

func TestTypesPickWhatIsTold(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	r, none := newReceiver(t), newReceiver(t)
	w.hook(t, r.URL, func(h *waypost.Webhook) { h.Types = []waypost.WebhookType{waypost.WebhookOK} })
	w.hook(t, none.URL, func(h *waypost.Webhook) { h.OperatorID = "another" })
	w.start(t)
	w.finish(t, w.mail(t, storetest.Mail{})[0], waypost.Delivered)
	r.until(t, "the event", func() bool { return len(r.taken()) == 1 })
	w.idle(t)
	if got := types(r.taken()); got != "delivery.delivered" {
		t.Errorf("told %s", got)
	}
	if len(none.all()) != 0 {
		t.Error("another operator was told")
	}
}

func TestAfterARotationEitherSecretVerifies(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	r := newReceiver(t)
	id, before := w.hook(t, r.URL)
	raw := []byte("another secret of 24 byt")
	after := "whsec_" + base64.StdEncoding.EncodeToString(raw)
	rotate := func(until time.Time) {
		t.Helper()
		if err := w.db.Store.RotateWebhook(t.Context(), waypost.CommandLine(), "op", id, w.ring.Seal(waypost.WebhookSecretContext(id), raw), until); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(secret string) bool {
		t.Helper()
		n := len(r.all())
		w.mail(t, storetest.Mail{})
		r.until(t, "a call", func() bool { return len(r.all()) > n })
		c := r.all()[n]
		v, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		return v.Verify(c.body, c.header) == nil
	}
	w.start(t)
	if !verify(before) || verify(after) {
		t.Error("before the rotation the first secret alone signs")
	}
	rotate(time.Now().Add(time.Hour))
	if !verify(before) || !verify(after) {
		t.Error("after the rotation both sign")
	}
	w.db.Exec(t, "UPDATE webhook SET old_until = 1")
	if verify(before) || !verify(after) {
		t.Error("after a day the new one alone signs")
	}
	if strings.Contains(w.log.String(), before) || strings.Contains(w.log.String(), after) {
		t.Error("a secret is in the log")
	}
}

func TestBatchesHaveTheirEventsInOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		w := newWorld(t, db)
		r := newReceiver(t)
		_, r.secret = w.hook(t, r.URL, func(h *waypost.Webhook) { h.MaxEvents = 10 })
		var want []string
		for range 25 {
			d := w.mail(t, storetest.Mail{})
			w.finish(t, d[0], waypost.Delivered)
			want = append(want, d[0].MessageID)
		}
		w.start(t)
		w.Poll()
		r.until(t, "all events", func() bool { return len(r.taken()) == 50 })
		w.idle(t)
		seen := map[string]int{}
		ids := map[string]bool{}
		for _, e := range r.taken() {
			if ids[e.ID] {
				t.Errorf("event %s twice", e.ID)
			}
			ids[e.ID] = true
			m := e.message(t)
			if first := e.Type == waypost.WebhookAccepted; first != (seen[m] == 0) {
				t.Errorf("message %s: %s as number %d", m, e.Type, seen[m])
			}
			seen[m]++
		}
		if len(seen) != len(want) {
			t.Errorf("%d messages, want %d", len(seen), len(want))
		}
		if n := len(r.all()); n > 8 {
			t.Errorf("%d calls for 50 events", n)
		}
	})
}

func TestAPoisonousCallHoldsBackItsOwnMessageOnly(t *testing.T) {
	w := newWorld(t, storetest.OpenSQLite(t))
	w.Pace(func(int) time.Duration { return time.Hour }, func(int) time.Duration { return 0 })
	r := newReceiver(t)
	poison := w.mail(t, storetest.Mail{}) // before the webhook: not told
	w.hook(t, r.URL)
	bad := w.mail(t, storetest.Mail{})[0]
	r.set(func(c call) int {
		if strings.Contains(string(c.body), bad.MessageID) {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	w.start(t)
	w.finish(t, bad, waypost.Delivered)
	for range 30 {
		w.finish(t, w.mail(t, storetest.Mail{})[0], waypost.Delivered)
	}
	r.until(t, "the others", func() bool { return len(r.taken()) == 60 })
	eventually(t, "the others to be recorded", func() bool {
		return w.db.Int(t, "SELECT COUNT(*) FROM webhook_call WHERE state = 'delivered'") == 60
	})
	if n := w.db.Int(t, "SELECT COUNT(*) FROM webhook_event"); n != 2 {
		t.Errorf("%d events wait, want the two of the message", n)
	}
	if h, err := w.db.Store.Webhook(t.Context(), "op", w.only(t)); err != nil || h.Failing() {
		t.Errorf("failing since %v, %v", h.FailingSince, err)
	}
	_ = poison
	// What it refused is told first, and then the rest of the message.
	r.set(nil)
	w.db.Exec(t, "UPDATE webhook_call SET next_at = 0 WHERE state = 'waiting'")
	w.Poll()
	r.until(t, "the message", func() bool { return len(r.taken()) == 62 })
	last := r.taken()[60:]
	if types(last) != "message.accepted delivery.delivered" || last[1].message(t) != bad.MessageID {
		t.Errorf("told %s of %s", types(last), last[1].message(t))
	}
}

// only is the id of the one webhook there is.
func (w *world) only(t testing.TB) string {
	t.Helper()
	list, err := w.db.Store.Webhooks(t.Context(), "op")
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0].ID
}
