package queue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func TestUnsavedResultsAreKeptAndNothingNewIsDialed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		w.settled()
		w.store.set("Finish", errFault)
		a, _ := w.accept(storetest.Mail{})
		w.settled()
		later, ok := w.accept(storetest.Mail{OperatorID: "other", To: []string{"x@other.test"}})
		if ok {
			t.Error("handed over while a result is not recorded")
		}
		w.pass(5 * time.Second)
		if n := w.deliver.started(); n != 1 {
			t.Errorf("%d dialed", n)
		}
		if n := w.store.called("Finish"); n < 4 || n > 8 {
			t.Errorf("tried to record %d times", n)
		}
		account, _ := w.accounts.Get(t.Context(), "other")
		d := later.Deliveries[0]
		if why := w.q.Why(account, &d); why != "waits until the results of other mails can be recorded" {
			t.Errorf("why: %s", why)
		}
		w.store.set("Finish", nil)
		w.pass(1500 * time.Millisecond)
		if w.only(a).State != waypost.Delivered || w.only(later).State != waypost.Delivered || len(w.deliver.twice) != 0 {
			t.Errorf("%+v, %+v, twice %v", w.only(a), w.only(later), w.deliver.twice)
		}
	})
}

// failFor makes the results of one operator unrecordable for ever.
type failFor struct {
	*faults
	operator string
}

func (f failFor) Finish(r *system.Finish, done func(error)) {
	if r.Delivery.OperatorID == f.operator {
		done(errFault)
		return
	}
	f.faults.Finish(r, done)
}

func TestOneResultThatNeverCanBeRecordedDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, db: storetest.OpenSQLite(t), accounts: newAccounts(), deliver: newDeliverer()}
		w.q, w.store = w.queue(w.deliver, func(o *queue.Options) { o.Store = failFor{o.Store.(*faults), "odd"} })
		if err := w.q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer w.stop()
		w.run()
		w.accept(storetest.Mail{OperatorID: "odd"})
		w.settled()
		a, _ := w.accept(storetest.Mail{})
		w.pass(5 * time.Second)
		if w.only(a).State != waypost.Queued {
			t.Error("dialed at once")
		}
		w.within(time.Minute, "the others go on", func() bool { return w.only(a).State == waypost.Delivered })
	})
}

func TestClaimsThatFailAreRepeated(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.set("Claim", errFault)
		w.run()
		a := w.row(storetest.Mail{})
		w.pass(10 * time.Second)
		if n := w.store.called("Claim"); n < 5 || n > 25 {
			t.Errorf("claimed %d times in 10 s", n)
		}
		w.store.set("Claim", nil)
		w.pass(1500 * time.Millisecond)
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestMailThatCannotBeReadWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.set("Mail", errFault)
		w.run()
		a := w.row(storetest.Mail{})
		w.pass(10 * time.Minute)
		if n := w.store.called("Mail"); n < 5 || n > 15 {
			t.Errorf("read %d times in 10 min", n)
		}
		if d := w.only(a); d.State != waypost.Queued || d.Attempts != 0 || d.Reason != "its content cannot be read" {
			t.Errorf("%+v", d)
		}
		w.store.set("Mail", nil)
		w.pass(70 * time.Second)
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestOperatorThatCannotBeReadWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		a, _ := w.accept(storetest.Mail{})
		b := w.row(storetest.Mail{})
		w.accounts.mu.Lock()
		w.accounts.err = errFault
		w.accounts.mu.Unlock()
		w.pass(10 * time.Second)
		if n := w.store.called("Claim"); n > 15 {
			t.Errorf("%d claims", n)
		}
		w.accounts.mu.Lock()
		w.accounts.err = nil
		w.accounts.mu.Unlock()
		w.pass(3 * time.Second)
		if w.only(a).State != waypost.Delivered || w.only(b).State != waypost.Delivered {
			t.Errorf("%+v, %+v", w.only(a), w.only(b))
		}
	})
}

func TestLostClaimIsFoundAndGivenBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.lost = 1
		w.run()
		a := w.row(storetest.Mail{})
		w.pass(time.Second)
		if d := w.only(a); d.Lease == "" {
			t.Fatalf("%+v", d)
		}
		w.pass(2*queue.StrayEvery + 2*time.Second)
		if d := w.only(a); d.State != waypost.Delivered || d.Attempts != 1 {
			t.Errorf("%+v", d)
		}
	})
}

func TestStrayTestMailExpires(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		a := w.row(storetest.Mail{Kind: waypost.KindTest, Lease: w.q.Incarnation()})
		w.pass(3 * queue.StrayEvery)
		if d := w.only(a); d.State != waypost.Expired || w.deliver.started() != 0 {
			t.Errorf("%+v", d)
		}
	})
}

func TestWhatIsInMemoryIsNoStray(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := w.blocked()
		w.run()
		for range 12 {
			w.accept(storetest.Mail{})
		}
		w.row(storetest.Mail{To: []string{"x@other.test"}})
		_, handover, _ := w.reserve(storetest.Mail{}, nil)
		w.pass(5 * queue.StrayEvery)
		release()
		handover.Cancel()
		w.within(5*time.Second, "all is delivered", func() bool { return w.count(waypost.Delivered) == 13 })
		if n := w.db.Int(t, "SELECT COUNT(*) FROM event WHERE type = 'released'"); n != 0 {
			t.Errorf("%d were given back", n)
		}
	})
}

func TestPanicWhileDeliveringIsContained(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(func(_ context.Context, j *waypost.Job, i int) *waypost.Attempt {
			if i == 1 {
				panic("boom")
			}
			return delivered(j)
		})
		w.run()
		a, _ := w.accept(storetest.Mail{To: []string{"a@example.test", "b@example.test"}})
		w.pass(10 * time.Second)
		if d := w.delivery(a.Deliveries[0].ID); d.State != waypost.Delivered {
			t.Errorf("reported before: %+v", d)
		}
		d := w.delivery(a.Deliveries[1].ID)
		if d.State != waypost.Queued || d.Lease != "" || d.Step != 1 || d.Reason != "an internal error ended the attempt" {
			t.Errorf("%+v", d)
		}
		if n := w.deliver.started(); n != 1 {
			t.Errorf("%d tries at once", n)
		}
		w.deliver.do(nil)
		w.pass(time.Until(d.NextAt) + time.Second)
		if d := w.delivery(a.Deliveries[1].ID); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestNodeThatCannotBeatStopsTalkingAndResumes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		gate := make(chan struct{})
		answers := make(chan [2]error, 1)
		var job *waypost.Job
		w.deliver.before = func(ctx context.Context, j *waypost.Job) {
			job = j
			hang(ctx, gate)
			answers <- [2]error{j.MayTalk(&j.Deliveries[0]), j.MayDot()}
		}
		w.run()
		w.pass(time.Second)
		a, _ := w.accept(storetest.Mail{})
		w.settled()
		w.store.set("Beat", errFault)
		w.pass(queue.TalkWithin - 6*time.Second)
		if err := job.MayTalk(&a.Deliveries[0]); err != nil {
			t.Errorf("too early: %v", err)
		}
		w.pass(7 * time.Second)
		if job.MayTalk(&a.Deliveries[0]) == nil || job.MayDot() != nil {
			t.Error("15 s after its last raise it may still talk, or no longer finish")
		}
		if _, ok := w.accept(storetest.Mail{}); ok {
			t.Error("handed over by a node that may have lost its leases")
		}
		w.pass(queue.DotWithin - queue.TalkWithin)
		if job.MayDot() == nil {
			t.Error("25 s after its last raise it may still send a dot")
		}
		started := w.deliver.started()
		w.deliver.before = nil
		close(gate)
		if got := <-answers; got[0] == nil || got[1] == nil {
			t.Error(got)
		}
		w.pass(20 * time.Second)
		if n := w.deliver.started(); n != started {
			t.Errorf("%d started meanwhile", n-started)
		}
		claims := w.store.called("Claim")
		w.store.set("Beat", nil)
		w.pass(6 * time.Second)
		if n := w.count(waypost.Delivered); n != 2 {
			t.Errorf("%d delivered, %d claims while cut off", n, claims)
		}
	})
}

func TestEvictedNodeEndsAndSaysNothingMore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := w.blocked()
		w.run()
		a, _ := w.accept(storetest.Mail{})
		w.settled()
		// Another node takes this one for dead.
		w.store.set("Beat", errFault)
		w.pass(queue.DeadAfter + 2*time.Second)
		if _, err := w.db.System.Recover(t.Context(), w.q.Incarnation(), time.Now()); err != nil {
			t.Fatal(err)
		}
		w.store.set("Beat", nil)
		w.pass(6 * time.Second)
		if err := <-w.ran; !errors.Is(err, system.ErrEvicted) {
			t.Errorf("Run: %v", err)
		}
		w.end = nil
		release()
		w.settled()
		if d := w.only(a); d.State != waypost.Queued || w.deliver.total() != 0 || d.Lease != "" {
			t.Errorf("%+v", d)
		}
	})
}

func TestDeadPeersMailIsTakenOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if err := w.db.System.Join(t.Context(), system.Node{Incarnation: "peer", Name: "node-b"}); err != nil {
			t.Fatal(err)
		}
		a := w.row(storetest.Mail{Lease: "peer"})
		w.run()
		for range 20 { // it lives
			if err := w.db.System.Beat(t.Context(), "peer"); err != nil {
				t.Fatal(err)
			}
			w.pass(5 * time.Second)
		}
		if d := w.only(a); d.Lease != "peer" {
			t.Fatalf("taken from a living node: %+v", d)
		}
		w.pass(queue.DeadAfter - 2*time.Second)
		if d := w.only(a); d.Lease != "peer" {
			t.Errorf("taken over too early: %+v", d)
		}
		w.pass(12 * time.Second)
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	}, func(o *queue.Options) { o.Alone = false })
}

func TestNextRunTakesBackTheLeasesOfAKilledOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		// The killed one: it has mail under way, in memory, and left an orphan behind.
		killed := newDeliverer()
		gate := make(chan struct{})
		killed.before = func(ctx context.Context, _ *waypost.Job) { hang(ctx, gate) }
		q, _ := w.queue(killed)
		if err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		old := w.q
		w.q = q
		for range 8 {
			if _, ok := w.accept(storetest.Mail{}); !ok {
				t.Fatal("not handed over")
			}
		}
		w.row(storetest.Mail{Lease: "left without saying so"})
		test := w.row(storetest.Mail{Kind: waypost.KindTest, Lease: q.Incarnation()})
		w.q = old
		if n := w.leased(); n != 10 {
			t.Fatalf("%d leased", n)
		}
		next, _ := w.queue(w.deliver)
		if err := next.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := w.leased(); n != 0 {
			t.Errorf("%d still leased", n)
		}
		if d := w.only(test); d.State != waypost.Expired {
			t.Errorf("a test mail after a crash: %+v", d)
		}
		w.q = next
		w.run()
		w.within(10*time.Second, "all is delivered", func() bool { return w.count(waypost.Delivered) == 9 })
		// The first and the killed one were evicted by that; their end changes nothing.
		w.pass(6 * time.Second)
		close(gate)
		for _, q := range []*queue.Queue{old, q} {
			if err := q.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if len(killed.sent) != 0 {
			t.Errorf("the killed one sent %d mails after it was evicted", len(killed.sent))
		}
	})
}

func TestStopReleasesWhatIsBeforeTheDotAndWaitsForTheRest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		gate := make(chan struct{})
		talking := make(chan struct{}, 10)
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			talking <- struct{}{}
			hang(j.AfterDot, gate)
			return delivered(j)
		})
		w.run()
		talked, _ := w.accept(storetest.Mail{To: []string{"a@one.test", "b@one.test"}})
		w.settled()
		<-talking
		w.deliver.before = func(ctx context.Context, _ *waypost.Job) { hang(ctx, nil) } // until it is told to stop
		for range 10 {
			w.accept(storetest.Mail{To: []string{"a@two.test"}})
		}
		w.settled()
		w.row(storetest.Mail{To: []string{"a@three.test"}})
		w.settled()
		stopped := make(chan error, 2)
		if err := w.halt(); err != nil {
			t.Error(err)
		}
		for range 2 { // twice does no harm
			go func() { stopped <- w.q.Stop(context.Background()) }()
		}
		w.pass(20 * time.Second) // longer than a lease lasts without a heartbeat
		if n := w.deliver.underWay(); n != 1 {
			t.Fatalf("%d under way", n)
		}
		if len(stopped) != 0 {
			t.Fatal("stopped while a session waits for its reply")
		}
		close(gate)
		for range 2 {
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		}
		if d := w.delivery(talked.Deliveries[0].ID); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
		if d := w.delivery(talked.Deliveries[1].ID); d.State != waypost.Queued || d.Attempts != 0 {
			t.Errorf("its second recipient: %+v", d)
		}
		if n := w.leased(); n != 0 {
			t.Errorf("%d still leased", n)
		}
		if n := w.db.Int(t, "SELECT COUNT(*) FROM event WHERE type = 'recovered'"); n != 0 {
			t.Errorf("%d leases were taken back instead of given back", n)
		}
		if n := w.db.Int(t, "SELECT COUNT(*) FROM node"); n != 0 {
			t.Errorf("%d nodes have not left", n)
		}
		if n := w.db.Int(t, "SELECT COUNT(*) FROM delivery WHERE state = 'queued' AND next_at > $1", waypost.Millis(time.Now())); n != 0 {
			t.Errorf("%d are not due at once for others", n)
		}
		if _, ok := w.accept(storetest.Mail{}); ok {
			t.Error("handed over after the end")
		}
		if err := w.q.Start(t.Context()); err == nil {
			t.Error("started again")
		}
	})
}

func TestStopEndsSessionsWhenItsTimeIsUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			hang(j.AfterDot, nil)
			return attempt(j, waypost.OutcomeUncertain, waypost.PhaseDot, 0, "interrupted")
		})
		w.run()
		a, _ := w.accept(storetest.Mail{})
		w.settled()
		if err := w.halt(); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		began := time.Now()
		if err := w.q.Stop(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 29*time.Second || took > 31*time.Second {
			t.Errorf("took %v", took)
		}
		if d := w.only(a); d.State != waypost.Queued || d.Cause != "uncertain" || d.Lease != "" {
			t.Errorf("%+v", d)
		}
	})
}

func TestStopRecordsResultsBeforeItTakesLeasesBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		w.store.set("Finish", errFault)
		a, _ := w.accept(storetest.Mail{})
		w.settled()
		if err := w.halt(); err != nil {
			t.Error(err)
		}
		stopped := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			stopped <- w.q.Stop(ctx)
		}()
		w.pass(10 * time.Second)
		w.store.set("Finish", nil)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestStopGivesUpOnADatabaseThatStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, db: storetest.OpenSQLite(t), accounts: newAccounts(), deliver: newDeliverer()}
		w.q, w.store = w.queue(w.deliver)
		if err := w.q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.store.set("Finish", errFault)
		w.store.set("Recover", errFault)
		w.accept(storetest.Mail{})
		w.settled()
		if err := w.halt(); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := w.q.Stop(ctx); !errors.Is(err, errFault) {
			t.Errorf("Stop: %v", err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestStopBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, db: storetest.OpenSQLite(t), accounts: newAccounts(), deliver: newDeliverer()}
		w.q, _ = w.queue(w.deliver)
		for range 2 {
			if err := w.q.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := w.q.Start(t.Context()); err == nil {
			t.Error("started after its end")
		}
		// And one that was started and never ran.
		w.q, _ = w.queue(w.deliver)
		if err := w.q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		a, ok := w.accept(storetest.Mail{})
		if !ok {
			t.Error("not handed over")
		}
		w.settled()
		if err := w.q.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestAcceptThatEndsAfterTheQueueIsLeftToTheNextRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.run()
		a, handover, ok := w.reserve(storetest.Mail{}, nil)
		if !ok {
			t.Fatal("refused")
		}
		w.stop()
		if err := w.db.Store.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		handover.Start()
		w.settled()
		if d := w.only(a); d.State != waypost.Queued || d.Lease != "" || d.Attempts != 0 {
			t.Errorf("%+v", d)
		}
	})
}

func TestTwoNodesShareTheMail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		other, _ := w.queue(w.deliver, func(o *queue.Options) { o.Alone, o.Node = false, "node-b" })
		if err := other.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			w.row(storetest.Mail{OperatorID: []string{"a", "b"}[i%2], To: []string{[]string{"u@one.test", "u@two.test", "u@three.test"}[i%3]}})
		}
		w.deliver.do(func(_ context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			<-time.After(300 * time.Millisecond)
			return delivered(j)
		})
		w.run()
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan error, 1)
		go func() { ran <- other.Run(ctx) }()
		w.within(10*time.Second, "both have sessions", func() bool {
			mine, _ := w.q.Depth()
			theirs, _ := other.Depth()
			return mine > 0 && theirs > 0
		})
		// One of them leaves; what it had is the other's at once.
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if err := other.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		w.within(2*time.Minute, "all is delivered", func() bool { return w.count(waypost.Delivered) == 300 })
		if len(w.deliver.twice) != 0 {
			t.Errorf("twice: %v", w.deliver.twice)
		}
	}, func(o *queue.Options) { o.Alone = false })
}
