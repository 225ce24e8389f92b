package api

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/inbound"
	mime "github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

// newTest asks for a test mail.
type newTest struct {
	To       string          `json:"to,omitempty" maxLength:"254" doc:"Where it goes. Left out with verify."`
	Verify   bool            `json:"verify,omitempty" doc:"Send it to a one-time address of this server, receive it as a stranger's server would, and say what SPF, DKIM and DMARC make of it."`
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

	Received *received `json:"received,omitempty" doc:"With verify: what a receiver makes of the mail. Left out until it has arrived."`
}

// received is what a receiver makes of a test mail.
type received struct {
	From     string        `json:"from"`
	Peer     string        `json:"peer" doc:"The address it came from."`
	TLS      string        `json:"tls" doc:"Version and cipher suite; empty if it came in the clear."`
	Size     int           `json:"size"`
	TookMS   int64         `json:"took_ms" doc:"From its submission to its arrival."`
	SPF      spfVerdict    `json:"spf"`
	DKIM     []dkimVerdict `json:"dkim" nullable:"false"`
	DMARC    dmarcVerdict  `json:"dmarc"`
	Results  string        `json:"authentication_results" doc:"As a receiver writes it into the header."`
	Problems []string      `json:"problems" nullable:"false" doc:"What failed and what to do; empty if nothing did."`
}

type spfVerdict struct {
	Result  string `json:"result"`
	Domain  string `json:"domain"`
	Aligned bool   `json:"aligned"`
}

type dkimVerdict struct {
	Result   string `json:"result"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	Aligned  bool   `json:"aligned"`
	Reason   string `json:"reason,omitempty"`
}

type dmarcVerdict struct {
	Result string `json:"result"`
	Domain string `json:"domain"`
	Policy string `json:"policy"`
}

func showReceived(v *inbound.Verdict) *received {
	if v == nil {
		return nil
	}
	return &received{
		From: v.From, Peer: v.Peer, TLS: v.TLS, Size: v.Size, TookMS: v.Latency.Milliseconds(),
		SPF: spfVerdict{v.SPF.Result, v.SPF.Domain, v.SPF.Aligned},
		DKIM: items(v.DKIM, func(d inbound.DKIM) dkimVerdict {
			return dkimVerdict{d.Result, d.Domain, d.Selector, d.Aligned, d.Reason}
		}),
		DMARC: dmarcVerdict{v.DMARC.Result, v.DMARC.Domain, v.DMARC.Policy}, Results: v.Results, Problems: v.Problems,
	}
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
	if !s.tests.allow(c.operator()) { // before an address is made, of which there are only so many
		return nil, waypost.NewError(waypost.RateLimited, "rate_limited", "ten test mails a minute are allowed")
	}
	to, arrived, err := s.testAddress(in.Body)
	if err != nil {
		return nil, err
	}
	run, err := s.runTest(ctx, c, tested, s.testMail(tested, to), arrived)
	if err != nil {
		return nil, err
	}
	return &answer[testResult]{run.show()}, nil
}

// runTest sends a test mail with an account as it would be, and waits a while for its end
// and, if it comes back to us, for the verdict.
func (s *server) runTest(
	ctx context.Context, c *caller, tested *waypost.Account, mail mime.Composition, arrived <-chan inbound.Verdict,
) (*testRun, error) {
	c.principal.FromPolicy = waypost.FromReplace // the From is ours
	sub, err := s.compose(c, mail)
	if err != nil {
		return nil, err
	}
	run := newTestRun(c.operator())
	sub.Source, sub.Kind, sub.Recipients = "test", waypost.KindTest, []string{mail.To[0].Email}
	sub.Once = &waypost.Once{Account: tested, Step: run.step, Done: run.end}
	got, err := s.Accepter.Accept(ctx, sub)
	if err != nil {
		return nil, err
	}
	run.begin(got.ID)
	run.arrived = arrived
	s.tests.add(run, time.Now())
	timer := time.NewTimer(s.TestWait)
	defer timer.Stop()
	select {
	case <-run.done:
		run.await(ctx, timer.C)
	case <-timer.C:
	case <-ctx.Done():
	}
	return run, nil
}

// testAddress is where a test mail goes: to the address that was given, or to a one-time
// address of ours, with where the verdict on it arrives.
func (s *server) testAddress(n newTest) (to string, arrived <-chan inbound.Verdict, err error) {
	if !n.Verify {
		if _, _, err := waypost.SplitAddress(n.To); err != nil {
			return "", nil, waypost.FieldError("to", err.Error())
		}
		return n.To, nil, nil
	}
	if n.To != "" {
		return "", nil, waypost.FieldError("to", "with verify it goes to an address of this server; leave it out")
	}
	if s.Tests == nil {
		return "", nil, waypost.NewError(waypost.Conflict, "verify_impossible",
			"this server does not receive mail (WAYPOST_BOUNCE_ADDR is off or the platform has no domain). Send the test mail to a mailbox of yours, "+
				"open it there, choose \"Show original\" (or the message source), and look for spf=pass, dkim=pass and dmarc=pass in Authentication-Results")
	}
	to, arrived, ok := s.Tests.New(time.Now())
	if !ok {
		return "", nil, waypost.NewError(waypost.RateLimited, "rate_limited", "too many test mails are under way")
	}
	return to, arrived, nil
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
