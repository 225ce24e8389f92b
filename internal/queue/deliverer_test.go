package queue_test

import (
	"context"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// deliverer does what the test says with each delivery, and counts.
type deliverer struct {
	mu      sync.Mutex
	script  func(ctx context.Context, j *waypost.Job, i int) *waypost.Attempt // nil: nothing to report
	before  func(ctx context.Context, j *waypost.Job)                         // before the first MAIL
	jobs    int
	now     int
	most    int            // jobs at once
	at      map[string]int // jobs at once, by site or relay
	mostAt  map[string]int
	content int64          // bytes at once
	mostOf  int64          // most bytes at once
	sent    map[string]int // accepted by the remote, by delivery
	twice   []string       // delivered a second time
	under   map[string]bool
	doubled []string          // tried while it was being tried
	astray  []string          // tried directly at another site than its own
	mx      map[string]string // MX hosts of sites
	order   []string          // operators in the order in which their mail went
}

func newDeliverer() *deliverer {
	return &deliverer{at: map[string]int{}, mostAt: map[string]int{}, sent: map[string]int{}, under: map[string]bool{}}
}

func (d *deliverer) do(script func(ctx context.Context, j *waypost.Job, i int) *waypost.Attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.script = script
}

func where(j *waypost.Job) string {
	if j.Route == waypost.RouteRelay {
		return "relay " + j.Account.ID
	}
	return j.Site
}

// Deliver implements queue.Deliverer.
func (d *deliverer) Deliver(ctx context.Context, j *waypost.Job) {
	size := int64(len(j.Message.Header) + len(j.Message.Body))
	d.mu.Lock()
	script, before := d.script, d.before
	d.jobs++
	d.now++
	d.most = max(d.most, d.now)
	d.at[where(j)]++
	d.mostAt[where(j)] = max(d.mostAt[where(j)], d.at[where(j)])
	d.content += size
	d.mostOf = max(d.mostOf, d.content)
	for i := range j.Deliveries {
		id := j.Deliveries[i].ID
		if j.Route == waypost.RouteDirect && j.Deliveries[i].Site != j.Site {
			d.astray = append(d.astray, j.Deliveries[i].Site+" at "+j.Site)
		}
		if d.under[id] {
			d.doubled = append(d.doubled, id)
		}
		d.under[id] = true
	}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.now--
		d.at[where(j)]--
		d.content -= size
		for i := range j.Deliveries {
			delete(d.under, j.Deliveries[i].ID)
		}
	}()
	mx, ok := d.resolved(j)
	if !ok {
		return
	}
	d.reached(mx, 1)
	defer d.reached(mx, -1)
	if before != nil {
		before(ctx, j)
	}
	for i := range j.Deliveries {
		if j.MayTalk(&j.Deliveries[i]) != nil || j.MayDot() != nil {
			continue
		}
		a := delivered(j)
		if script != nil {
			a = script(ctx, j, i)
		}
		if a == nil {
			continue
		}
		if a.Outcome == waypost.OutcomeDelivered {
			d.mu.Lock()
			id := j.Deliveries[i].ID
			if d.sent[id]++; d.sent[id] > 1 {
				d.twice = append(d.twice, id)
			}
			d.order = append(d.order, j.Account.ID)
			d.mu.Unlock()
		}
		j.Report(i, *a)
	}
}

func (d *deliverer) total() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sent)
}

func (d *deliverer) started() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.jobs
}

func (d *deliverer) underWay() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// hang keeps a session open until ctx ends or release is closed.
func hang(ctx context.Context, release <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-release:
	}
}

func delivered(j *waypost.Job) *waypost.Attempt {
	return attempt(j, waypost.OutcomeDelivered, waypost.PhaseDot, 250, "Ok")
}

func attempt(j *waypost.Job, o waypost.Outcome, p waypost.Phase, code int, text string) *waypost.Attempt {
	return &waypost.Attempt{Route: j.Route, Host: "mx." + j.Site, Phase: p, Outcome: o, Reply: waypost.Reply{Code: code, Text: text}}
}

// always answers every delivery in the same way.
func always(o waypost.Outcome, p waypost.Phase, code int, text string) func(context.Context, *waypost.Job, int) *waypost.Attempt {
	return func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt { return attempt(j, o, p, code, text) }
}

// withMX has a job hear the MX hosts of its site, as before a connection is made.
func (d *deliverer) withMX(hosts map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mx = hosts
}

// resolved reports whether a job may go on to the hosts of its site.
func (d *deliverer) resolved(j *waypost.Job) (mx string, ok bool) {
	d.mu.Lock()
	mx = d.mx[j.Site]
	d.mu.Unlock()
	if mx == "" || j.Resolved == nil {
		return "", true
	}
	return mx, j.Resolved(mx) == nil
}

// reached counts a job that is at the hosts of its site.
func (d *deliverer) reached(mx string, by int) {
	if mx == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at[mx] += by
	d.mostAt[mx] = max(d.mostAt[mx], d.at[mx])
}

// asking is a reply that asks for less mail.
func asking(j *waypost.Job, how waypost.SlowHow, length time.Duration) *waypost.Attempt {
	a := attempt(j, waypost.OutcomeTemporary, waypost.PhaseMail, 421, "4.7.0 try again later")
	a.Slow, a.Cause = waypost.Slow{How: how, For: length}, "rate"
	return a
}
