package deliver

import (
	"cmp"
	"errors"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// try is one job under way.
type try struct {
	d          *Deliverer
	job        *waypost.Job
	route      waypost.RouteKind // what attempts are recorded under: a fallback changes it
	started    time.Time
	from       waypost.Address
	returnPath route.ReturnPath // of the built-in gateway, for this From
	pieces     [][]byte         // the message as it leaves: signature, header, body
	at         place            // where it was tried last
	mx         string           // what the site's MX hosts go by together, for route direct
	done       []bool           // reported, by delivery
	stumbled   bool             // whoever watches has seen a stage fail
	vetoed     bool             // MayDot said no
	probe      bool             // it only tries whether direct delivery works again
}

// place is where an attempt got to.
type place struct {
	host    string
	address string // ip:port
	tls     string
}

// sandbox ends a mail in the local mailbox, which the queue writes.
func (t *try) sandbox() {
	for i := range t.job.Deliveries {
		if t.job.MayTalk(&t.job.Deliveries[i]) != nil {
			continue
		}
		t.step(waypost.PhaseData, t.started, true, "sandbox: kept in the local mailbox, nothing leaves")
		t.job.Report(i, waypost.Attempt{
			Route: waypost.RouteSandbox, Host: "sandbox", Phase: waypost.PhaseDot, Outcome: waypost.OutcomeDelivered,
			Reply: waypost.Reply{Code: 250, Enhanced: "2.0.0", Text: "kept in the sandbox"}, Started: t.started,
		})
	}
}

// report records what a server, or the lack of one, said about delivery i, and
// returns what that means. What is reported already stays.
func (t *try) report(i int, in classify.Input) waypost.Outcome {
	in.Route = t.route
	v := t.d.o.Rules.Classify(in)
	if t.done[i] {
		return v.Outcome
	}
	reply := in.Reply
	if reply.Code == 0 && in.Err != nil {
		reply.Text = words(in.Phase, in.Err)
	}
	t.done[i] = true
	t.job.Report(i, waypost.Attempt{
		Route: t.route, Host: t.at.host, Address: t.at.address, TLS: t.at.tls, Phase: in.Phase, Outcome: v.Outcome,
		Cause: string(v.Cause), Rule: v.Evidence(), Reply: reply, Slow: v.Slow, Started: t.started, Took: time.Since(t.started),
	})
	return v.Outcome
}

// owner is who answers for the job: an operator, together with what belongs to it.
func (t *try) owner() string { return cmp.Or(t.job.Account.ParentID, t.job.Account.ID) }

// open lists the deliveries that are not reported and may be tried now. It asks
// MayTalk, so it is called right before MAIL only.
func (t *try) open() []int {
	var open []int
	for i := range t.job.Deliveries {
		if !t.done[i] && t.job.MayTalk(&t.job.Deliveries[i]) == nil {
			open = append(open, i)
		}
	}
	return open
}

// left reports whether anything is still to be said.
func (t *try) left() bool {
	for _, done := range t.done {
		if !done {
			return true
		}
	}
	return false
}

// failAll reports the same failure for everything that is still open.
func (t *try) failAll(phase waypost.Phase, err error) {
	t.fail(classify.Input{Phase: phase, Err: err})
}

func (t *try) fail(in classify.Input) {
	for i := range t.job.Deliveries {
		t.report(i, in)
	}
}

// failure is why a host was given up, and how far it got.
type failure struct {
	in classify.Input
	at place
}

// note remembers a failure for the case that no other host does better. What a server
// said tells more than that another one was not to be reached.
func (f *failure) note(in classify.Input, at place) {
	if f.in.Reply.Code == 0 || in.Reply.Code != 0 {
		f.in, f.at = in, at
	}
}

// failWith reports a noted failure for everything that is still open.
func (t *try) failWith(f failure) {
	t.at = f.at
	t.fail(f.in)
}

// inputOf reads an error of a session.
func inputOf(phase waypost.Phase, err error) classify.Input {
	if e, ok := errors.AsType[*smtpc.Error](err); ok {
		return classify.Input{Phase: e.Phase, Reply: e.Reply, Err: e.Err}
	}
	return classify.Input{Phase: phase, Err: err}
}

// phaseOf is where a session was when it failed, "" if the error is none of a session.
func phaseOf(err error) waypost.Phase {
	if e, ok := errors.AsType[*smtpc.Error](err); ok {
		return e.Phase
	}
	return ""
}

// watched reports whether somebody follows the job step by step. Such a job gets
// sessions of its own: who watches wants to see every stage, and nobody else's mail.
func (t *try) watched() bool { return t.job.Step != nil }

// step tells whoever watches of a stage without a server's reply.
func (t *try) step(phase waypost.Phase, started time.Time, ok bool, detail string) {
	t.tell(waypost.Step{Phase: phase, Started: started, Millis: time.Since(started).Milliseconds(), OK: ok, Detail: detail})
}

func (t *try) tell(s waypost.Step) {
	if t.job.Step == nil {
		return
	}
	t.stumbled = t.stumbled || !s.OK
	s.Detail = fit(s.Detail)
	t.job.Step(s)
}

// confide tells the owner's log what words leaves out: addresses of our network.
func (t *try) confide(host string, err error) {
	log := t.d.o.Log.With(obs.KeyOperator, t.job.Account.ID, obs.KeyMessage, t.job.Message.ID, obs.KeyHost, host)
	if e, ok := errors.AsType[*guard.Refused](err); ok {
		log.Info("destination refused", "address", e.Addr.String(), "why", string(e.Why))
	} else if lookUpFailed(err) {
		log.Debug("look-up failed", obs.Error(err))
	}
}

// trace passes the exchanges of a session on to whoever watches.
func (t *try) trace() func(smtpc.Step) {
	if t.job.Step == nil {
		return nil
	}
	return func(s smtpc.Step) {
		if s.Command == "QUIT" { // says nothing about the mail
			return
		}
		detail := s.Command
		if s.Err != nil {
			detail = words(s.Phase, s.Err)
		}
		t.tell(waypost.Step{
			Phase: s.Phase, Started: s.Started, Millis: s.Took.Milliseconds(), Detail: detail, Reply: s.Reply.String(),
			OK: s.Err == nil && (s.Reply.Code == 0 || s.Reply.Positive()),
		})
	}
}
