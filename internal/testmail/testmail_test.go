package testmail

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// pipeline is an Accepter that keeps what it gets. The API's tests have the real one.
type pipeline struct {
	got []waypost.Submission
	try func(*waypost.Once) // before it is known under which id it was accepted
}

func (p *pipeline) Accept(_ context.Context, s waypost.Submission) (waypost.Receipt, error) {
	p.got = append(p.got, s)
	if p.try != nil {
		p.try(s.Once)
	}
	return waypost.Receipt{ID: "mail-" + s.OperatorID}, nil
}

// door is a return path.
type door struct {
	made    int
	arrived chan waypost.Reception // with room for one
}

func (d *door) New(time.Time) (string, <-chan waypost.Reception, bool) {
	d.made++
	return "test-once@bounce.platform.example", d.arrived, true
}

func newDoor() *door { return &door{arrived: make(chan waypost.Reception, 1)} }

func newTester(p *pipeline, d *door) *Tester {
	o := Options{Accepter: p, Platform: route.Platform{From: waypost.Address{Name: "Platform", Email: "no-reply@platform.example"}}}
	if d != nil {
		o.Addresses = d
	}
	return New(o)
}

// own is the account of an operator with its own server.
func own() *waypost.Account {
	return &waypost.Account{
		Operator: waypost.Operator{ID: "op", Name: "Acme", Gateway: waypost.GatewaySMTP},
		Relay:    &waypost.Relay{Host: "mail.acme.example", Port: 587, Security: waypost.SecurityStartTLS, Username: "acme", Password: "hunter2"},
		Senders:  []waypost.Sender{{Address: "alarm@acme.example", Name: "Alarm", Default: true}},
	}
}

func send(t testing.TB, tester *Tester, r Request) *Run {
	t.Helper()
	run, err := tester.Send(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func delivered(o *waypost.Once) {
	o.Step(waypost.Step{Phase: waypost.PhaseConnect, OK: true})
	o.Done(waypost.Attempt{Outcome: waypost.OutcomeDelivered}, waypost.Delivered)
}

func TestAMailSaysWhatItsCallerWants(t *testing.T) {
	p := &pipeline{}
	tester := newTester(p, nil)
	person := waypost.Principal{UserID: "u-1", OperatorID: "op", FromPolicy: waypost.FromRefuse}
	usual := Request{Principal: person, Peer: "192.0.2.9", Account: own(), To: "me@bücher.example"}
	chosen := usual
	chosen.From, chosen.Subject, chosen.Text = waypost.Address{Name: "Post", Email: "post@shop.example"}, "Prüfung", "Hallo."
	for _, r := range []Request{usual, chosen} {
		send(t, tester, r)
	}
	for i, want := range []struct{ from, subject, text string }{
		{"Alarm <alarm@acme.example>", "Test mail from Acme", "e-mail settings of Acme, over the SMTP server mail.acme.example."},
		{"Post <post@shop.example>", "Prüfung", "Hallo."},
	} {
		got := p.got[i]
		block, body, err := message.Split(got.Message)
		if err != nil {
			t.Fatal(err)
		}
		h, err := message.ParseHeader(block, message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		from, err := h.From()
		if err != nil || from.Name+" <"+from.Email+">" != want.from || got.MailFrom != from.Email || h.Text("Subject") != want.subject {
			t.Errorf("From %v, %v, subject %q", from, err, h.Text("Subject"))
		}
		if unfolded := strings.ReplaceAll(string(body), "=\r\n", ""); !strings.Contains(unfolded, want.text) {
			t.Errorf("body %q", body)
		}
		principal := person
		principal.FromPolicy = waypost.FromReplace // ours must not be refused
		got.Message, got.MailFrom, got.Once = nil, "", nil
		if diff := cmp.Diff(waypost.Submission{
			Principal: principal, OperatorID: "op", Source: "test", Peer: "192.0.2.9", Protocol: "HTTP",
			Recipients: []string{"me@xn--bcher-kva.example"}, Kind: waypost.KindTest,
		}, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRefusedTestMailsAreNotAccepted(t *testing.T) {
	none := own()
	none.Gateway = ""
	for name, tt := range map[string]struct {
		r           Request
		kind        waypost.ErrorKind
		code, field string
	}{
		"no gateway":            {Request{Account: none, To: "me@example.com"}, waypost.NoGateway, "no_gateway", ""},
		"no address":            {Request{Account: own(), To: "me"}, waypost.Invalid, "invalid", "to"},
		"an address to verify":  {Request{Account: own(), To: "me@example.com", Verify: true}, waypost.Invalid, "invalid", "to"},
		"nothing to receive it": {Request{Account: own(), Verify: true}, waypost.Conflict, "verify_impossible", ""},
	} {
		p := &pipeline{}
		_, err := newTester(p, nil).Send(t.Context(), tt.r)
		e := waypost.AsError(err)
		if e == nil || e.Kind != tt.kind || e.Code != tt.code || e.Field != tt.field || len(p.got) != 0 {
			t.Errorf("%s: %+v, accepted %d", name, e, len(p.got))
		}
	}
}

func TestALimitedOperatorUsesUpNoAddress(t *testing.T) {
	p, d := &pipeline{}, newDoor()
	tester := newTester(p, d)
	r := Request{Account: own(), Verify: true}
	for range perMinute {
		send(t, tester, r)
	}
	if _, err := tester.Send(t.Context(), r); waypost.KindOf(err) != waypost.RateLimited {
		t.Errorf("%v", err)
	}
	if d.made != perMinute || len(p.got) != perMinute {
		t.Errorf("%d addresses, %d mails", d.made, len(p.got))
	}
	r.Unlimited = true
	send(t, tester, r)
}

func TestTestMailsAreNoWayAroundTheLimitOfTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tester := newTester(&pipeline{}, newDoor())
		account := own()
		account.Gateway = waypost.GatewayBuiltin
		to := Request{Account: account, To: "me@example.com"}
		sent := 0
		for range 24 * 60 {
			if _, err := tester.Send(t.Context(), to); err == nil {
				sent++
			} else if waypost.KindOf(err) != waypost.RateLimited {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
		}
		if sent < perDay || sent > 2*perDay {
			t.Errorf("%d in a day", sent)
		}
		if _, err := tester.Send(t.Context(), Request{Account: account, Verify: true}); err != nil {
			t.Errorf("to ourselves: %v", err)
		}
		for range 5 {
			send(t, tester, Request{Account: own(), To: "me@example.com"}) // the own server's business
		}
	})
}

func TestASnapshotShowsEachStageAndNoPassword(t *testing.T) {
	p, d := &pipeline{}, newDoor()
	account := own()
	run := send(t, newTester(p, d), Request{Account: account, Verify: true})
	relay := *account.Relay
	relay.Password = ""
	want := Snapshot{ID: "mail-op", To: "test-once@bounce.platform.example", Verify: true, State: waypost.Queued, Relay: &relay}
	check := func() {
		t.Helper()
		if diff := cmp.Diff(want, run.Snapshot()); diff != "" {
			t.Error(diff)
		}
	}
	check()
	once, earlier := p.got[0].Once, run.Snapshot()
	once.Step(waypost.Step{Phase: waypost.PhaseConnect, OK: true})
	want.Steps = []waypost.Step{{Phase: waypost.PhaseConnect, OK: true}}
	check()
	once.Done(waypost.Attempt{Phase: waypost.PhaseDot}, waypost.Delivered)
	want.Done, want.State, want.Attempt, want.Awaited = true, waypost.Delivered, &waypost.Attempt{Phase: waypost.PhaseDot}, true
	check()
	once.Done(waypost.Attempt{}, waypost.Bounced) // it ends once
	check()
	d.arrived <- waypost.Reception{From: "alarm@acme.example"}
	want.Reception, want.Awaited = &waypost.Reception{From: "alarm@acme.example"}, false
	check()
	check()
	if len(earlier.Steps) != 0 || earlier.Done {
		t.Errorf("an earlier one changed: %+v", earlier)
	}
	if account.Relay.Password == "" {
		t.Error("the account changed")
	}
}

func TestStepsAreBounded(t *testing.T) {
	run := send(t, newTester(&pipeline{try: func(o *waypost.Once) {
		for range maxSteps + 10 {
			o.Step(waypost.Step{})
		}
	}}, nil), Request{Account: own(), To: "me@example.com"})
	if n := len(run.Snapshot().Steps); n != maxSteps {
		t.Errorf("%d steps are kept", n)
	}
}

func TestAllWhoWaitSeeTheMailComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d := &pipeline{try: delivered}, newDoor()
		run := send(t, newTester(p, d), Request{Account: own(), Verify: true})
		began := time.Now()
		waiting := make(chan time.Duration)
		for range 3 {
			go func() {
				run.Wait(t.Context(), time.Hour)
				waiting <- time.Since(began)
			}()
		}
		synctest.Wait()
		time.AfterFunc(time.Second, func() { d.arrived <- waypost.Reception{From: "a@b.test"} })
		for range 3 {
			if took := <-waiting; took != time.Second {
				t.Errorf("waited %s", took)
			}
		}
		if s := run.Snapshot(); s.Reception == nil || s.Awaited {
			t.Errorf("%+v", s)
		}
	})
}

func TestWaitingEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		undelivered := func(o *waypost.Once) { o.Done(waypost.Attempt{}, waypost.Bounced) }
		ended, end := context.WithCancel(t.Context())
		end()
		for name, tt := range map[string]struct {
			ctx  context.Context
			try  func(*waypost.Once)
			want time.Duration
		}{
			"under way":             {t.Context(), nil, time.Minute},
			"under way, nobody":     {ended, nil, 0},
			"not back":              {t.Context(), delivered, time.Minute},
			"not back, nobody":      {ended, delivered, 0},
			"will not come back":    {t.Context(), undelivered, 0},
			"ends while waited for": {t.Context(), func(o *waypost.Once) { time.AfterFunc(time.Second, func() { undelivered(o) }) }, time.Second},
		} {
			run := send(t, newTester(&pipeline{try: tt.try}, newDoor()), Request{Account: own(), Verify: true})
			began := time.Now()
			run.Wait(tt.ctx, time.Minute)
			if took := time.Since(began); took != tt.want {
				t.Errorf("%s: waited %s, want %s", name, took, tt.want)
			}
		}
	})
}

func TestATestMailIsFollowedForTenMinutesByItsOperator(t *testing.T) {
	tester := newTester(&pipeline{}, nil)
	run := send(t, tester, Request{Account: own(), To: "me@example.com"})
	if got, err := tester.Find(t.Context(), "op", "mail-op"); err != nil || got != run {
		t.Errorf("%v, %v", got, err)
	}
	for _, now := range []time.Duration{runsKept, runsKept + 1} {
		if tester.kept("other", "mail-op", run.began.Add(now)) != nil || tester.kept("op", "mail-other", run.began.Add(now)) != nil {
			t.Error("anybody finds it")
		}
		if found := tester.kept("op", "mail-op", run.began.Add(now)) != nil; found != (now == runsKept) {
			t.Errorf("after %s it is found: %v", now, found)
		}
	}
}

func TestOldestTestMailsMakeRoom(t *testing.T) {
	tester := newTester(&pipeline{}, nil)
	r := Request{To: "me@example.com", Unlimited: true}
	for i := range maxRuns + 1 {
		r.Account = own()
		if i == 0 {
			r.Account.ID = "first"
		}
		send(t, tester, r)
	}
	if tester.kept("first", "mail-first", time.Now()) != nil || len(tester.runs) != maxRuns {
		t.Errorf("%d are kept", len(tester.runs))
	}
}

func TestAFailureToAcceptIsTheCallers(t *testing.T) {
	tester := New(Options{Accepter: broken{}})
	if run, err := tester.Send(t.Context(), Request{Account: own(), To: "me@example.com"}); !errors.Is(err, errBroken) || run != nil || len(tester.runs) != 0 {
		t.Errorf("%v, %v", run, err)
	}
}

var errBroken = errors.New("disk on fire")

type broken struct{}

func (broken) Accept(context.Context, waypost.Submission) (waypost.Receipt, error) {
	return waypost.Receipt{}, errBroken
}

func TestOnlyAMailThatComesBackAsItsSenderAndIsBelievedSpeaksForIt(t *testing.T) {
	back := func(from, dmarc string) *waypost.Reception {
		return &waypost.Reception{From: from, DMARC: waypost.DMARCResult{Result: dmarc}}
	}
	for name, tt := range map[string]struct {
		s    Snapshot
		want Objection
	}{
		"under way":         {Snapshot{State: waypost.Queued}, NotTried},
		"bounced":           {Snapshot{Done: true, State: waypost.Bounced}, NotDelivered},
		"no answer":         {Snapshot{Done: true, State: waypost.Uncertain}, NotDelivered},
		"not back":          {Snapshot{Done: true, State: waypost.Delivered, Awaited: true}, NotBack},
		"back as another":   {Snapshot{Done: true, State: waypost.Delivered, Reception: back("alarm@other.example", "pass")}, LeftAsAnother},
		"no policy":         {Snapshot{Done: true, State: waypost.Delivered, Reception: back("alarm@shop.example", "none")}, NotBelieved},
		"unsigned":          {Snapshot{Done: true, State: waypost.Delivered, Reception: back("alarm@shop.example", "fail")}, NotBelieved},
		"as it should be":   {Snapshot{Done: true, State: waypost.Delivered, Reception: back("Alarm@Shop.example", "pass")}, NoObjection},
		"back, no answer":   {Snapshot{Done: true, State: waypost.Uncertain, Reception: back("alarm@shop.example", "pass")}, NoObjection},
		"nothing was found": {Snapshot{Done: true, State: waypost.Delivered, Reception: &waypost.Reception{}}, LeftAsAnother},
	} {
		if got := tt.s.Objection("alarm@shop.example"); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
