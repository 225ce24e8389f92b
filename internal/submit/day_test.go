package submit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/waypost"
)

// to is a submission for n recipients.
func to(n int) waypost.Submission {
	s := submission()
	s.Recipients = nil
	for i := range n {
		s.Recipients = append(s.Recipients, fmt.Sprintf("r%d@example.test", i))
	}
	return s
}

// fresh is a pipeline that has read nothing yet, as another node's.
func (w *world) fresh() *submit.Pipeline {
	return submit.New(submit.Options{
		Store: w.db.Store, Accounts: w.accounts, Queue: w.queue,
		Platform: route.Platform{Domain: "platform.test", From: waypost.Address{Email: "no-reply@platform.test"}},
	})
}

func onGateway(o *submit.Options) { o.Platform.Domain = "platform.test" }

func TestRecipientsADayAreLimitedOnTheBuiltinGateway(t *testing.T) {
	w := newWorld(t, onGateway)
	change := func(f func(*waypost.Account)) {
		a := *w.accounts["op"]
		f(&a)
		w.accounts["op"] = &a
		w.p = w.fresh() // the roll-up is read again within seconds
	}
	change(func(a *waypost.Account) {
		a.Created, a.Guard = time.Now(), waypost.ReputationPolicy{Ramp: []waypost.RampStep{{Days: 1, Recipients: 10}, {Days: 2, Recipients: 20}}}
	})
	full := func() {
		t.Helper()
		_, err := w.accept(to(1))
		refused(t, err, waypost.RateLimited, "daily_limit", "4.5.3")
		if e := waypost.AsError(err); e.After < time.Minute || e.After > 62*time.Minute {
			t.Errorf("%+v", e)
		}
	}
	w.mustAccept(to(6))
	_, err := w.accept(to(5)) // all of it or none
	refused(t, err, waypost.RateLimited, "daily_limit", "4.5.3")
	w.mustAccept(to(4))
	full()

	security := to(3)
	security.Kind = waypost.KindSecurity
	security.Principal.Scopes = append(security.Principal.Scopes, waypost.ScopeSecurity)
	w.mustAccept(security)
	test := to(3)
	test.Principal.Test = true
	w.mustAccept(test)

	change(func(a *waypost.Account) { a.Created = time.Now().Add(-25 * time.Hour) })
	w.mustAccept(to(10))
	full()
	change(func(a *waypost.Account) { a.Created = time.Now().Add(-50 * time.Hour) })
	w.mustAccept(to(100))
	change(func(a *waypost.Account) { a.Reputation.TroubleAt = time.Now() })
	full()
	change(func(a *waypost.Account) { a.PerDay = 125 })
	w.mustAccept(to(5))
	full()
	change(func(a *waypost.Account) { a.Trusted = true })
	w.mustAccept(to(100))
	change(func(a *waypost.Account) {
		a.Trusted, a.Gateway, a.Relay = false, waypost.GatewaySMTP, &waypost.Relay{Host: "mail.op.test"}
	})
	w.mustAccept(to(100))
	change(func(a *waypost.Account) { a.Gateway = waypost.GatewayBuiltin })
	full()
	if n := w.db.Int(t, "SELECT CAST(SUM(builtin_accepted) AS bigint) FROM rollup WHERE operator_id = 'op'"); n != 225 {
		t.Errorf("%d recipients are counted", n)
	}
}

func TestTheLimitHoldsHoweverManySubmitAtOnce(t *testing.T) {
	w := newWorld(t, onGateway)
	a := *w.accounts["op"]
	a.PerDay = 100
	w.accounts["op"] = &a
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 10 {
				_, _ = w.p.Accept(context.Background(), to(3))
			}
		})
	}
	wait.Wait()
	if n := w.db.Int(t, "SELECT COUNT(*) FROM delivery"); n != 99 {
		t.Errorf("%d recipients of 100", n)
	}
	// What another node accepted counts too, from the next reading on.
	fresh := w.fresh()
	_, err := fresh.Accept(context.Background(), to(3))
	refused(t, err, waypost.RateLimited, "daily_limit", "4.5.3")
	if _, err := fresh.Accept(context.Background(), to(1)); err != nil {
		t.Error(err)
	}
}

func TestATestMailOfAPausedOperatorIsRefusedWithTheReason(t *testing.T) {
	w := newWorld(t, onGateway)
	a := *w.accounts["op"]
	a.Reputation.Level = waypost.LevelPaused
	s := submission()
	s.Once = &waypost.Once{Account: &a}
	_, err := w.accept(s)
	refused(t, err, waypost.NoGateway, "gateway_paused", "")
	w.accounts["op"] = &a
	w.mustAccept(submission()) // it waits
}
