package api

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/classify"
	mime "github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

// newTest asks for a test mail.
type newTest struct {
	To       string          `json:"to" maxLength:"254" doc:"Where it goes."`
	Settings *account.Update `json:"settings,omitempty" doc:"Settings that are not saved, as for PUT /v1/settings/email. Left out, the saved ones are tested."`
}

// testResult is what is known of a test mail.
type testResult struct {
	ID     string        `json:"id" doc:"The message's."`
	Done   bool          `json:"done"`
	Status waypost.State `json:"status" doc:"queued until it is done; then delivered, or what it ended as."`
	Reply  string        `json:"reply,omitempty" doc:"The last words of the other server."`
	Cause  string        `json:"cause,omitempty"`
	Advice string        `json:"advice,omitempty" doc:"What went wrong and what to do."`
	Stages []stage       `json:"stages" nullable:"false"`
}

// stage is one step of a test mail.
type stage struct {
	Phase     waypost.Phase `json:"phase" doc:"route, dns, connect, greet, hello, tls, auth, mail, rcpt, data or dot."`
	StartedAt string        `json:"started_at,omitempty" format:"date-time"`
	TookMS    int64         `json:"took_ms"`
	OK        bool          `json:"ok"`
	Detail    string        `json:"detail" doc:"What was done: host, address, certificate."`
	Reply     string        `json:"reply,omitempty" doc:"The other server's own words."`
}

func showStage(s waypost.Step) stage {
	return stage{Phase: s.Phase, StartedAt: stamp(s.Started), TookMS: s.Millis, OK: s.OK, Detail: s.Detail, Reply: s.Reply}
}

// conclude fills in how an attempt ended.
func (r *testResult) conclude(a *waypost.Attempt, state waypost.State) {
	r.Done, r.Status = state.Final(), state
	if a == nil {
		return
	}
	r.Reply, r.Cause = a.Reply.String(), a.Cause
	if state != waypost.Delivered {
		r.Advice = classify.Cause(a.Cause).Explain()
	}
}

func (s *server) testSettings(ctx context.Context, c *caller, in *answer[newTest]) (*answer[testResult], error) {
	tested, err := s.tested(ctx, c, in.Body.Settings)
	if err != nil {
		return nil, err
	}
	if _, _, err := waypost.SplitAddress(in.Body.To); err != nil {
		return nil, waypost.FieldError("to", err.Error())
	}
	if !s.tests.allow(c.operator()) {
		return nil, waypost.NewError(waypost.RateLimited, "rate_limited", "ten test mails a minute are allowed")
	}
	c.principal.FromPolicy = waypost.FromReplace // the From is ours
	sub, err := s.compose(c, s.testMail(tested, in.Body.To))
	if err != nil {
		return nil, err
	}
	run := newTestRun(c.operator())
	sub.Source, sub.Kind, sub.Recipients = "test", waypost.KindTest, []string{in.Body.To}
	sub.Once = &waypost.Once{Account: tested, Step: run.step, Done: run.end}
	got, err := s.Accepter.Accept(ctx, sub)
	if err != nil {
		return nil, err
	}
	run.begin(got.ID)
	s.tests.add(run, time.Now())
	timer := time.NewTimer(s.TestWait)
	defer timer.Stop()
	select {
	case <-run.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return &answer[testResult]{run.show()}, nil
}

// tested returns the account with the settings under test.
func (s *server) tested(ctx context.Context, c *caller, u *account.Update) (*waypost.Account, error) {
	if c.principal.Test {
		return nil, waypost.NewError(waypost.Forbidden, "test_key", "mail of a test key goes to the sandbox; test the settings with a live key")
	}
	tested := c.account
	if u != nil {
		var err error
		if tested, err = s.Accounts.Preview(ctx, c.operator(), *u); err != nil {
			return nil, below("settings", err)
		}
	}
	if tested.Gateway == "" {
		return nil, waypost.NewError(waypost.NoGateway, "no_gateway", "these settings have no gateway to test")
	}
	return tested, nil
}

func (s *server) testMail(a *waypost.Account, to string) mime.Composition {
	over := "the built-in gateway"
	if a.Gateway == waypost.GatewaySMTP && a.Relay != nil {
		over = "the SMTP server " + a.Relay.Host
	}
	now := time.Now().UTC()
	return mime.Composition{
		From: s.defaultFrom(a), To: inHeader([]address{{Email: to}}), Subject: "Test mail from " + a.Name,
		Text: fmt.Sprintf(`This is a test mail.

It was sent on %s with the e-mail settings of %s, over %s.
If you can read this, the settings work: notifications and reports will arrive the same way.

If it was in your spam folder, mark it as wanted. There is no need to answer.
`, now.Format("2 January 2006 at 15:04:05 UTC"), a.Name, over),
	}
}

// getTest shows a test mail from memory, or what is stored of it: the process may have
// been started since, and another node may have sent it.
func (s *server) getTest(ctx context.Context, c *caller, in *ByID) (*answer[testResult], error) {
	if run := s.tests.find(c.operator(), in.ID, time.Now()); run != nil {
		return &answer[testResult]{run.show()}, nil
	}
	found, err := s.Store.Message(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	if found.Messages[0].Kind != waypost.KindTest || len(found.Deliveries) == 0 {
		return nil, waypost.NewError(waypost.NotFound, "not_found", "there is no such test mail")
	}
	attempts, err := s.Store.Attempts(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	d := &found.Deliveries[0]
	out := testResult{ID: in.ID, Stages: []stage{}}
	out.conclude(nil, d.State)
	for i := range attempts {
		a := &attempts[i]
		out.conclude(a, d.State)
		out.Stages = append(out.Stages, stage{
			Phase: a.Phase, StartedAt: stamp(a.Started), TookMS: a.Took.Milliseconds(), OK: a.Outcome == waypost.OutcomeDelivered,
			Detail: a.Host + " " + a.Address, Reply: a.Reply.String(),
		})
	}
	if out.Reply == "" {
		out.Reply = d.Reason
	}
	return &answer[testResult]{out}, nil
}
