package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// judgeNow makes the guard's chore due, and waits until it has run.
func judgeNow(t *testing.T, a *app.App) {
	t.Helper()
	if err := a.Store.Write(t.Context(), func(ctx context.Context, tx *engine.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE chore SET due = 0 WHERE name = 'reputation'")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the guard looks", func() bool {
		var due int64
		err := a.Engine.Reader().QueryRowContext(t.Context(), "SELECT due FROM chore WHERE name = 'reputation'").Scan(&due)
		return err == nil && due > 0
	})
}

// soon waits until something is so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// The whole way: mail servers refuse half of an operator's recipients, and within a look or
// two nothing but its security mail leaves, while another operator's mail does.
func TestWhoMailsAddressesThatDoNotExistIsPausedAlone(t *testing.T) {
	mx := mailtest.StartSMTP(t, mailtest.Knobs{RcptTo: func(to string) mailtest.Answer {
		if strings.HasPrefix(to, "gone") {
			return mailtest.Answer{Reply: "550 5.1.1 no such user"}
		}
		return mailtest.Answer{}
	}})
	srv := dnstest.Start(t, dnstest.Zones{"site.test": {"MX 10 mx.site.test"}, "mx.site.test": {"A 127.0.0.1"}})
	a := start(t, settings(t, "WAYPOST_PLATFORM_DOMAIN=platform.test", "WAYPOST_DNS_RESOLVER="+srv.Addr,
		fmt.Sprintf("WAYPOST_MX_PORT=%d", mx.Port()), "WAYPOST_GUARD_ALLOW=127.0.0.0/8"))
	spammer, _ := operator(t, a.Base, "boss@site.test")
	good, _ := operator(t, a.Base, "")
	owner := "owner@site.test"
	if err := a.Accounts.ChangeOperator(t.Context(), waypost.CommandLine(), waypost.PlatformOperatorID, account.OperatorChange{Contact: &owner}); err != nil {
		t.Fatal(err)
	}
	send := func(operator string, kind waypost.Kind, to ...string) waypost.Receipt {
		t.Helper()
		r, err := a.Submit.Accept(t.Context(), waypost.Submission{
			Principal:  waypost.Principal{OperatorID: operator, Scopes: []waypost.Scope{waypost.ScopeSend, waypost.ScopeSecurity}},
			OperatorID: operator, Source: "api", Protocol: "HTTP", Recipients: to, Kind: kind,
			Message: []byte("From: a@site.test\r\nTo: b@site.test\r\nSubject: " + string(kind) + "\r\n\r\nHello\r\n"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	state := func(r waypost.Receipt) waypost.State {
		t.Helper()
		var s waypost.State
		if err := a.Engine.Reader().QueryRowContext(t.Context(), "SELECT state FROM delivery WHERE id = $1", r.Deliveries[0].ID).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	var list []string
	for i := range 60 {
		list = append(list, fmt.Sprintf("gone%d@site.test", i), fmt.Sprintf("here%d@site.test", i))
	}
	send(spammer, waypost.KindEvent, list...)
	send(good, waypost.KindEvent, list[1], list[3], list[5])
	soon(t, "all of it is final", func() bool {
		var n int
		err := a.Engine.Reader().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM delivery WHERE state = 'queued'").Scan(&n)
		return err == nil && n == 0
	})
	judgeNow(t, a)
	level := func(operator string) waypost.ReputationLevel {
		t.Helper()
		r, err := a.Store.Reputation(t.Context(), operator)
		if err != nil {
			t.Fatal(err)
		}
		return r.Now()
	}
	soon(t, "the operator is paused", func() bool { return level(spammer) == waypost.LevelPaused })
	if got := level(good); got != waypost.LevelOK {
		t.Errorf("another operator is %s", got)
	}

	waits, code, other := send(spammer, waypost.KindEvent, "here1@site.test"), send(spammer, waypost.KindSecurity, "here2@site.test"), send(good, waypost.KindEvent, "here3@site.test")
	soon(t, "security mail, and that of others, leaves", func() bool { return state(code) == waypost.Delivered && state(other) == waypost.Delivered })
	notices := func() (to []string) {
		for _, m := range mx.Mails() {
			if strings.Contains(string(m.Data), "is paused") {
				to = append(to, m.To...)
			}
		}
		return to
	}
	soon(t, "operator and owner are told", func() bool { return len(notices()) >= 2 })
	if s := state(waits); s != waypost.Queued {
		t.Errorf("mail of the paused operator is %s", s)
	}
	judgeNow(t, a)
	if err := a.Accounts.LiftReputation(t.Context(), waypost.CommandLine(), spammer, time.Now()); err != nil {
		t.Fatal(err)
	}
	soon(t, "what waited leaves", func() bool { return state(waits) == waypost.Delivered })
	judgeNow(t, a)
	if got := level(spammer); got != waypost.LevelOK {
		t.Errorf("lifted, and %s at the next look", got)
	}
	if to := notices(); len(to) != 2 || !strings.Contains(strings.Join(to, " "), "boss@site.test") || !strings.Contains(strings.Join(to, " "), owner) {
		t.Errorf("told: %v", to)
	}
}

// An operator that cannot be told keeps no news from the next one.
func TestOneOperatorThatCannotBeToldHoldsUpNoOther(t *testing.T) {
	a := start(t, settings(t))
	broken, _ := operator(t, a.Base, "boss@site.test")
	fine, _ := operator(t, a.Base, "chief@site.test")
	if broken > fine {
		broken, fine = fine, broken
	}
	if err := a.Store.Write(t.Context(), func(ctx context.Context, tx *engine.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE operator SET contact = 'nobody' WHERE id = $1", broken)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	a.Directory.Forget(broken)
	for _, id := range []string{broken, fine} {
		if _, err := a.System.ChangeReputation(t.Context(), waypost.Policy(), id, time.Now(), func(r waypost.Reputation, _ waypost.GatewayFigures) waypost.Reputation {
			r.Level, r.Since, r.By = waypost.LevelPaused, time.Now(), "policy"
			return r
		}); err != nil {
			t.Fatal(err)
		}
	}
	judgeNow(t, a)
	soon(t, "the other one is told", func() bool {
		var untold string
		err := a.Engine.Reader().QueryRowContext(t.Context(), "SELECT MAX(operator_id) FROM reputation WHERE told = 0").Scan(&untold)
		return err == nil && untold == broken
	})
}
