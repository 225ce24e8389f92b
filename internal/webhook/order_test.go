package webhook_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/webhook"
)

// checkOrder checks that each event of the log was taken, that repeated calls are the same
// bytes, and that what a receiver takes first of each message is in the order of its log.
func checkOrder(t *testing.T, w *world, r *receiver, messages []string) {
	t.Helper()
	bodies := map[string]string{}
	for _, c := range r.all() {
		if body, ok := bodies[c.id]; ok && body != string(c.body) {
			t.Errorf("call %s has two bodies", c.id)
		}
		bodies[c.id] = string(c.body)
	}
	order := map[string][]string{}
	seen := map[string]bool{}
	for _, e := range r.taken() {
		if !seen[e.ID] {
			seen[e.ID] = true
			order[e.message(t)] = append(order[e.message(t)], e.ID)
		}
	}
	for _, m := range messages {
		events, err := w.db.Store.Events(t.Context(), "op", m)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, e := range events {
			if e.Type.WebhookType() != "" {
				want = append(want, e.ID)
			}
		}
		if fmt.Sprint(order[m]) != fmt.Sprint(want) {
			t.Errorf("message %s: taken %v, want %v", m, order[m], want)
		}
	}
}

func TestTheOrderOfAMessageIsKept(t *testing.T) {
	for _, most := range []int{1, 3, 100} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			w := newWorld(t, storetest.OpenSQLite(t))
			r := newReceiver(t)
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 1))
			t.Logf("seed %d", seed)
			var mu sync.Mutex
			r.set(func(call) int {
				mu.Lock()
				defer mu.Unlock()
				return []int{http.StatusOK, http.StatusOK, http.StatusInternalServerError, http.StatusFound, http.StatusTooManyRequests}[random.IntN(5)]
			})
			_, r.secret = w.hook(t, r.URL, func(h *waypost.Webhook) { h.MaxEvents = most })
			w.start(t)
			var messages []string
			var work sync.WaitGroup
			for range 25 { // messages with several recipients, whose results come at any time
				d := w.mail(t, storetest.Mail{To: []string{"a@example.test", "b@example.test", "c@example.test"}})
				messages = append(messages, d[0].MessageID)
				for i := range d {
					work.Go(func() { w.finish(t, d[i], waypost.Delivered) })
				}
			}
			work.Wait()
			w.idle(t)
			checkOrder(t, w, r, messages)
		})
	}
}

// TestTwoNodesShareEndpoints lets two nodes write events and call endpoints, and sees that
// no endpoint is called by both at a time.
func TestTwoNodesShareEndpoints(t *testing.T) {
	db := storetest.OpenPostgres(t)
	nodes := make([]*world, 2)
	for i := range nodes {
		nodes[i] = newWorld(t, db.Node(t, fmt.Sprint("node ", i)), func(o *webhook.Options) { o.UserAgent = fmt.Sprint("node ", i) })
	}
	receivers := make([]*receiver, 4)
	calls := map[string]int{} // by node
	var mu sync.Mutex
	for i := range receivers {
		r := newReceiver(t)
		receivers[i] = r
		busy := map[string]int{}
		n := 0
		r.set(func(c call) int {
			agent := c.header.Get("User-Agent")
			mu.Lock()
			busy[agent]++
			calls[agent]++
			if len(busy) > 1 {
				t.Errorf("an endpoint is called by both nodes: %v", busy)
			}
			n++
			fail := n%5 == 0
			mu.Unlock()
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				if busy[agent]--; busy[agent] == 0 {
					delete(busy, agent)
				}
			}()
			if fail {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		})
		nodes[0].hook(t, r.URL, func(h *waypost.Webhook) { h.OperatorID = []string{"op", "op2"}[i%2] })
	}
	for _, n := range nodes {
		n.start(t)
	}
	messages := map[string][]string{}
	for i := range 40 {
		n, op := nodes[i%2], []string{"op", "op2"}[i/2%2]
		d := n.mail(t, storetest.Mail{OperatorID: op})
		n.finish(t, d[0], waypost.Delivered)
		messages[op] = append(messages[op], d[0].MessageID)
	}
	nodes[0].idle(t)
	for i, r := range receivers {
		if i%2 == 0 {
			checkOrder(t, nodes[0], r, messages["op"])
		}
		if n := len(distinct(r.taken())); n != 40 {
			t.Errorf("endpoint %d was told %d events, want 40", i, n)
		}
	}
	t.Logf("calls by node: %v", calls)
}

func distinct(events []told) map[string]bool {
	ids := map[string]bool{}
	for _, e := range events {
		ids[e.ID] = true
	}
	return ids
}

func TestWhatADeadNodeHadIsTakenOver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		dead := newWorld(t, db.Node(t, "dead"))
		alive := newWorld(t, db.Node(t, "alive"))
		r := newReceiver(t)
		_, r.secret = dead.hook(t, r.URL)
		dead.mail(t, storetest.Mail{})
		hang, reached := make(chan struct{}), make(chan struct{}, 8)
		r.set(func(c call) int {
			reached <- struct{}{}
			if c.header.Get("User-Agent") == "" || len(r.all()) == 0 {
				<-hang
			}
			return http.StatusOK
		})
		dead.Poll()
		<-reached // and it never hears the answer
		alive.Poll()
		if n := alive.Workers(); n > 1 {
			t.Errorf("%d workers", n)
		}
		if n := len(reached); n != 0 {
			t.Error("two nodes call one endpoint")
		}
		if _, err := db.System.Recover(t.Context(), dead.me, storetest.Now()); err != nil {
			t.Fatal(err)
		}
		alive.Poll()
		<-reached
		close(hang)
		alive.idle(t)
		ids := map[string]bool{}
		for _, c := range r.all() {
			ids[c.id] = true
		}
		if len(ids) != 1 || db.Int(t, "SELECT COUNT(*) FROM webhook_call WHERE state = 'delivered'") != 1 {
			t.Errorf("calls %v", ids)
		}
	})
}
