package queue

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// nothing is a store with a bottomless supply of due mail, and a deliverer and
// accounts that take no time.
type nothing struct {
	Store
	account *waypost.Account
	message *waypost.Message
	done    chan struct{}
	mu      sync.Mutex
	next    int
}

func (n *nothing) Get(context.Context, string) (*waypost.Account, error) { return n.account, nil }

func (n *nothing) RelayFailed(context.Context, string, waypost.Relay, string, time.Time) (time.Time, bool, error) {
	return time.Time{}, false, nil
}
func (n *nothing) RelayRecovered(context.Context, string, waypost.Relay) error { return nil }

func (n *nothing) Mail(context.Context, string) (*waypost.Message, error) { return n.message, nil }

func (n *nothing) Claim(_ context.Context, c system.Claim) ([]waypost.Delivery, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	rows := make([]waypost.Delivery, c.Limit)
	for i := range rows {
		n.next++
		rows[i] = waypost.Delivery{
			ID: fmt.Sprint(n.next), MessageID: fmt.Sprint("m", n.next), OperatorID: c.OperatorID, Site: c.Site, State: waypost.Queued,
			Lane: waypost.LaneTransactional, Lease: c.Incarnation, Epoch: 1, Attempts: 1, Expires: c.Now.Add(time.Hour),
		}
	}
	return rows, nil
}

func (n *nothing) Finish(f *system.Finish, done func(error)) {
	f.Settled = f.State
	done(nil)
	n.done <- struct{}{}
}

func (n *nothing) Deliver(_ context.Context, j *waypost.Job) {
	for i := range j.Deliveries {
		if j.MayTalk(&j.Deliveries[i]) == nil && j.MayDot() == nil {
			j.Report(i, waypost.Attempt{Route: j.Route, Phase: waypost.PhaseDot, Outcome: waypost.OutcomeDelivered, Reply: waypost.Reply{Code: 250}})
		}
	}
}

func newNothing() (*nothing, *Queue) {
	n := &nothing{
		account: &waypost.Account{Operator: waypost.Operator{ID: "op", Gateway: waypost.GatewayBuiltin}},
		message: &waypost.Message{Header: []byte("Subject: x\r\n\r\n"), Size: 14},
		done:    make(chan struct{}, 1024),
	}
	return n, New(Options{Store: n, Deliverer: n, Accounts: n, Platform: route.Platform{Domain: "platform.test"}})
}

// BenchmarkHandover measures the fast path: reserve, start, deliver, finish.
func BenchmarkHandover(b *testing.B) {
	n, q := newNothing()
	m := &waypost.Message{ID: "m", Lane: waypost.LaneTransactional, Header: n.message.Header, Size: 14}
	sent, taken := 0, 0
	for b.Loop() {
		d := []waypost.Delivery{{
			ID: fmt.Sprint(sent), MessageID: "m", OperatorID: "op", Site: fmt.Sprint("site", sent%100), State: waypost.Queued,
			Lane: waypost.LaneTransactional, Expires: time.Now().Add(time.Hour),
		}}
		q.lease.raised(time.Now())
		h, ok := q.Reserve(n.account, m, d, nil)
		for !ok { // the slots of the site are taken
			<-n.done
			taken--
			h, ok = q.Reserve(n.account, m, d, nil)
		}
		h.Start()
		sent++
		for taken++; taken > 500; taken-- {
			<-n.done
		}
	}
	for ; taken > 0; taken-- {
		<-n.done
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkDispatch measures the way from due rows of 100 keys of 10 operators
// through claims, sessions and results.
func BenchmarkDispatch(b *testing.B) {
	n, q := newNothing()
	q.mu.Lock()
	now := time.Now()
	for i := range 100 {
		q.note(system.DueKey{Key: system.Key{Lane: 1, OperatorID: fmt.Sprint("op", i%10), Site: fmt.Sprint("site", i)}, NextAt: now}, now, false)
	}
	q.dispatch()
	q.mu.Unlock()
	for b.Loop() {
		<-n.done
		q.lease.raised(time.Now())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	q.halt()
	ended := make(chan struct{})
	go func() { q.jobs.Wait(); close(ended) }()
	for {
		select {
		case <-n.done:
		case <-ended:
			return
		}
	}
}
