package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// System is what watching domains needs across operators; *system.System has it.
type System interface {
	TakeDomains(ctx context.Context, now, until time.Time, limit int, except ...string) ([]store.CheckedDomain, error)
	DomainDue(ctx context.Context, now time.Time, except ...string) (bool, error)
	AnyDomain(ctx context.Context, id string) (store.CheckedDomain, error)
	DomainsNamed(ctx context.Context, name string) ([]store.CheckedDomain, error)
	SaveDomainCheck(ctx context.Context, c store.DomainCheck) ([]waypost.Sender, error)
}

// Notices tells operators what happened; nil functions are not called.
type Notices interface {
	DomainChanged(ctx context.Context, operatorID string, events []waypost.DomainEvent)
	SendersAssigned(ctx context.Context, operatorID string, senders []waypost.Sender)
}

// WatcherOptions make a Watcher.
type WatcherOptions struct {
	System  System
	Checker *Checker
	Signing func() string           // selector of the key that signs now
	Approve bool                    // the owner decides about senders: none is assigned by a check
	Changed func(operatorID string) // called when what an operator may do has changed
	Notices Notices
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger
}

// Watcher checks domains when they are due or somebody asks, and draws the conclusions.
type Watcher struct {
	o      WatcherOptions
	checks sync.WaitGroup // that Tick started

	turn sync.Mutex
	busy map[string]int // checks under way that Tick started, by operator

	mu      sync.Mutex
	flights map[string]*flight // by domain
}

// Bounds of the watcher. Those of checks are of one process, and about what is due: who
// asks for a check waits for it, and is bounded where the question comes in.
const (
	checksAtOnce      = 8
	checksPerOperator = 2                // of these, so that slow name servers of one hold up no other
	checkTimeout      = 30 * time.Second // of the questions about one domain
	takenFor          = 3 * time.Minute  // until a domain is due again whose checker died
)

// NewWatcher returns a Watcher.
func NewWatcher(o WatcherOptions) *Watcher {
	if o.Changed == nil {
		o.Changed = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Watcher{o: o, busy: map[string]int{}, flights: map[string]*flight{}}
}

// Tick starts the checks that are due, as far as there are free slots, and does not wait
// for them. Each that ends starts what is due next. When ctx ends, all end.
func (w *Watcher) Tick(ctx context.Context) error {
	for {
		d, ok, err := w.take(ctx)
		if err != nil || !ok {
			return err
		}
		w.checks.Go(func() {
			// One that was given up meanwhile is nobody's trouble.
			if _, err := w.checkOnce(ctx, d.ID, time.Time{}); err != nil && ctx.Err() == nil && waypost.KindOf(err) != waypost.NotFound {
				w.o.Log.Error("cannot check a domain", "domain", d.Name, "operator", d.OperatorID, "error", err)
			}
			w.free(d.OperatorID)
			_ = w.Tick(ctx) // what goes wrong goes wrong at the caller's next Tick, too
		})
	}
}

// Wait waits for the checks that Tick started. It is for when Tick is called no more.
func (w *Watcher) Wait() { w.checks.Wait() }

// take takes a domain that is due and a slot to check it in. What has no slot is not
// taken but stays due, here and for other nodes, and as it is the longest due it comes
// next when a slot of its operator is free.
func (w *Watcher) take(ctx context.Context) (d store.CheckedDomain, ok bool, err error) {
	w.turn.Lock() // until the slot is occupied, or another would count it as free
	defer w.turn.Unlock()
	for ctx.Err() == nil {
		running, full := 0, []string(nil)
		for operator, n := range w.busy {
			running += n
			if n >= checksPerOperator {
				full = append(full, operator)
			}
		}
		if running >= checksAtOnce {
			return d, false, nil
		}
		now := w.o.Now()
		due, err := w.o.System.DomainDue(ctx, now, full...)
		if err != nil || !due {
			return d, false, err
		}
		taken, err := w.o.System.TakeDomains(ctx, now, now.Add(takenFor), 1, full...)
		if err != nil || len(taken) == 0 {
			return d, false, err
		}
		if d = taken[0]; d.Checked.After(now) {
			continue // somebody asked for it while it was being taken
		}
		w.busy[d.OperatorID]++
		return d, true, nil
	}
	return d, false, nil
}

func (w *Watcher) free(operatorID string) {
	w.turn.Lock()
	defer w.turn.Unlock()
	if w.busy[operatorID]--; w.busy[operatorID] == 0 {
		delete(w.busy, operatorID)
	}
}

// CheckNow checks a domain of an operator and returns it as it is then. The error is
// NotFound if the operator has no such domain.
func (w *Watcher) CheckNow(ctx context.Context, operatorID, id string) (store.CheckedDomain, error) {
	d, err := w.o.System.AnyDomain(ctx, id)
	if err == nil && d.OperatorID != operatorID {
		err = waypost.NewError(waypost.NotFound, "not_found", "no such domain")
	}
	if err != nil {
		return store.CheckedDomain{}, err
	}
	return w.checkOnce(ctx, id, w.o.Now())
}

// check looks at a domain's records and saves what follows. A change by somebody else
// meanwhile wins; the domain is then as they left it.
func (w *Watcher) check(ctx context.Context, id string, f *flight) (store.CheckedDomain, error) {
	d, err := w.o.System.AnyDomain(ctx, id)
	if err != nil {
		return d, err
	}
	claims, err := w.o.System.DomainsNamed(ctx, d.Name)
	if err != nil {
		return d, err
	}
	var owner *store.CheckedDomain // another operator who has proven it
	var rivals []string
	for _, c := range claims {
		if c.OperatorID != d.OperatorID && !c.Proven.IsZero() {
			owner, rivals = &c, []string{c.Proof}
		}
	}
	// Name servers that take too long are as good as silent: what they were not asked is
	// unknown, and the next check comes when it would have come.
	looking, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	report := w.o.Checker.Check(looking, d.Domain, rivals, w.o.Now())
	if ctx.Err() != nil {
		return d, fmt.Errorf("check %s: %w", d.Name, ctx.Err())
	}
	now := w.o.Now()
	var watch Watch
	if d.Watch != "" {
		if err := json.Unmarshal([]byte(d.Watch), &watch); err != nil {
			w.o.Log.Error("what is remembered of a domain cannot be read", "domain", d.Name, "error", err)
		}
	}
	change := Judge(d.Domain, watch, report, w.o.Checker.Settings.SigningPart(w.o.Signing()), w.lookedAt(f, d), now)
	save := store.DomainCheck{CheckedDomain: d, Before: d.Checked, Events: change.Events, Assign: !w.o.Approve}
	save.Domain, save.Checked, save.Next = change.Domain, waypost.FromMillis(waypost.Millis(now)), change.Next
	if !save.Checked.After(d.Checked) { // two checks within a millisecond
		save.Checked = d.Checked.Add(time.Millisecond)
	}
	if save.Watch, save.Report, err = encode(change.Watch, report); err != nil {
		return d, err
	}
	if owner != nil && d.Proven.IsZero() && !change.Domain.Proven.IsZero() {
		save.From = owner
		for i := range save.Events {
			if save.Events[i].Type == waypost.DomainProven {
				save.Events[i].Detail = "the record of the operator that had proven it before is gone"
			}
		}
		save.Events = append(save.Events, waypost.DomainEvent{
			OperatorID: owner.OperatorID, DomainID: owner.ID, Name: owner.Name, Type: waypost.DomainTaken, Actor: "policy",
			Detail: "its ownership record is gone, and another operator has proven the domain", At: now,
		})
	}
	assigned, err := w.o.System.SaveDomainCheck(ctx, save)
	if waypost.KindOf(err) == waypost.Conflict {
		return w.o.System.AnyDomain(ctx, d.ID)
	}
	if err != nil {
		return d, err
	}
	w.o.Changed(d.OperatorID)
	if owner != nil {
		w.o.Changed(owner.OperatorID)
	}
	w.tell(context.WithoutCancel(ctx), save.Events, d.OperatorID, assigned) // it is done, whoever has left
	return save.CheckedDomain, nil
}

func encode(w Watch, r Report) (watch, report string, err error) {
	a, errA := json.Marshal(w)
	b, errB := json.Marshal(r)
	return string(a), string(b), errors.Join(errA, errB)
}

// tell sends notices, each operator its own.
func (w *Watcher) tell(ctx context.Context, events []waypost.DomainEvent, operatorID string, assigned []waypost.Sender) {
	if w.o.Notices == nil {
		return
	}
	by := map[string][]waypost.DomainEvent{}
	for _, e := range events {
		by[e.OperatorID] = append(by[e.OperatorID], e)
	}
	for operator, list := range by {
		w.o.Notices.DomainChanged(ctx, operator, list)
	}
	if len(assigned) > 0 {
		w.o.Notices.SendersAssigned(ctx, operatorID, assigned)
	}
}
