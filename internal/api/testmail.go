package api

import (
	"cmp"
	"context"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/testmail"
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

func showReceived(r *waypost.Reception) *received {
	if r == nil {
		return nil
	}
	return &received{
		From: r.From, Peer: r.Peer, TLS: r.TLS, Size: r.Size, TookMS: r.Latency.Milliseconds(),
		SPF: spfVerdict{r.SPF.Result, r.SPF.Domain, r.SPF.Aligned},
		DKIM: items(r.DKIM, func(d waypost.DKIMResult) dkimVerdict {
			return dkimVerdict{d.Result, d.Domain, d.Selector, d.Aligned, d.Reason}
		}),
		DMARC: dmarcVerdict{r.DMARC.Result, r.DMARC.Domain, r.DMARC.Policy}, Results: r.Results, Problems: r.Problems,
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

func showTest(t testmail.Snapshot) testResult {
	out := testResult{
		ID: t.ID, Done: t.Done, Status: t.State, Reply: t.Reason, Stages: items(t.Steps, showStage), Received: showReceived(t.Reception),
	}
	if a := t.Attempt; a != nil {
		out.Reply, out.Cause = cmp.Or(a.Reply.String(), t.Reason), a.Cause
		if t.State != waypost.Delivered {
			out.Advice = classify.Cause(a.Cause).Explain()
		}
	}
	if t.Awaited {
		out.Advice = "The mail was handed over and has not come back to us yet. Ask again in a minute. If it never comes, look for it where the " +
			"server that took it keeps its log, or send a test mail to a mailbox of yours, choose \"Show original\" there, and look for spf=pass, " +
			"dkim=pass and dmarc=pass in Authentication-Results."
	}
	return out
}

func (s *server) testSettings(ctx context.Context, c *caller, in *answer[newTest]) (*answer[testResult], error) {
	tested, err := s.tested(ctx, c, in.Body.Settings)
	if err != nil {
		return nil, err
	}
	got, err := s.runTest(ctx, c, testmail.Request{Account: tested, To: in.Body.To, Verify: in.Body.Verify})
	if err != nil {
		return nil, err
	}
	return &answer[testResult]{showTest(got)}, nil
}

// runTest sends a test mail and waits a while for its end.
func (s *server) runTest(ctx context.Context, c *caller, r testmail.Request) (testmail.Snapshot, error) {
	r.Principal, r.Peer = c.principal, c.peer
	run, err := s.Tests.Send(ctx, r)
	if err != nil {
		return testmail.Snapshot{}, err
	}
	run.Wait(ctx, s.TestWait)
	return run.Snapshot(), nil
}

// tested returns the account with the settings under test.
func (s *server) tested(ctx context.Context, c *caller, u *account.Update) (*waypost.Account, error) {
	if c.principal.Test {
		return nil, waypost.NewError(waypost.Forbidden, "test_key", "mail of a test key goes to the sandbox; test the settings with a live key")
	}
	if u == nil {
		return c.account, nil
	}
	tested, err := s.Accounts.Preview(ctx, c.operator(), *u)
	if err != nil {
		return nil, below("settings", err)
	}
	return tested, nil
}

func (s *server) getTest(ctx context.Context, c *caller, in *ByID) (*answer[testResult], error) {
	run, err := s.Tests.Find(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[testResult]{showTest(run.Snapshot())}, nil
}
