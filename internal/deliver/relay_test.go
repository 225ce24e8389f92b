package deliver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestRelayGetsOneTransactionForAllRecipients(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{Users: users(), RcptTo: func(to string) mailtest.Answer {
		switch to {
		case "user1@example.test":
			return say("550 5.1.1 no such user")
		case "user2@example.test":
			return say("450 4.2.0 greylisted")
		case "user3@example.test":
			return say("550 5.7.1 relaying denied")
		}
		return mailtest.Answer{}
	}}, nil)
	w := newWorld(t, nil, nil)
	got := w.send(relayed(r, recipients(5)...))
	outcomes(t, got, delivered, permanent, temporary, routeDown, delivered)
	mails := fake.Mails()
	if len(mails) != 1 || !slices.Equal(mails[0].To, []string{"user0@example.test", "user4@example.test"}) {
		t.Fatalf("mails %+v", mails)
	}
	if mails[0].From != "alarm@op.test" {
		t.Errorf("MAIL FROM %q, want the operator's sender", mails[0].From)
	}
	if a := got[0]; a.Host != "127.0.0.1" || a.Address != fake.Addr() || a.Route != waypost.RouteRelay {
		t.Errorf("attempt %+v", a)
	}
}

func TestManyRecipientsAreSplit(t *testing.T) {
	all := func(n int) []waypost.Outcome { return slices.Repeat([]waypost.Outcome{delivered}, n) }
	for name, tt := range map[string]struct {
		knobs mailtest.Knobs
		n     int
		want  []int // recipients by mail
	}{
		"a hundred each":         {mailtest.Knobs{}, 250, []int{100, 100, 50}},
		"fewer, says the server": {mailtest.Knobs{Extensions: []string{"LIMITS RCPTMAX=4"}}, 10, []int{4, 4, 2}},
		"more, says the server":  {mailtest.Knobs{Extensions: []string{"PIPELINING", "LIMITS RCPTMAX=1000"}}, 250, []int{250}},
	} {
		t.Run(name, func(t *testing.T) {
			fake, r := relay(t, tt.knobs, nil)
			w := newWorld(t, nil, nil)
			outcomes(t, w.send(relayed(r, recipients(tt.n)...)), all(tt.n)...)
			var got []int
			for _, m := range fake.Mails() {
				got = append(got, len(m.To))
			}
			if !slices.Equal(got, tt.want) || fake.Connections() != 1 {
				t.Errorf("recipients by mail: %v over %d connections", got, fake.Connections())
			}
		})
	}
}

func TestRecipientsThatDidNotFitGetTheirOwnTransaction(t *testing.T) {
	for _, reply := range []string{"452 4.5.3 too many recipients", "452 too many recipients", "552 too many recipients"} {
		fake, r := relay(t, mailtest.Knobs{}, nil)
		var mu sync.Mutex
		taken := 0
		fake.Set(func(k *mailtest.Knobs) {
			k.MailFrom = func(string) mailtest.Answer { mu.Lock(); defer mu.Unlock(); taken = 0; return mailtest.Answer{} }
			k.RcptTo = func(to string) mailtest.Answer {
				mu.Lock()
				defer mu.Unlock()
				if taken++; taken > 3 {
					return say(reply)
				}
				return mailtest.Answer{}
			}
		})
		w := newWorld(t, nil, nil)
		outcomes(t, w.send(relayed(r, recipients(7)...)), slices.Repeat([]waypost.Outcome{delivered}, 7)...)
		if n := len(fake.Mails()); n != 3 {
			t.Errorf("%s: %d mails", reply, n)
		}
	}
}

func TestRecipientThatNeverFitsIsTriedOnceMoreAtMost(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{RcptTo: func(to string) mailtest.Answer {
		if to == "user1@example.test" {
			return say("452 over quota")
		}
		return mailtest.Answer{}
	}}, nil)
	w := newWorld(t, nil, nil)
	outcomes(t, w.send(relayed(r, recipients(3)...)), delivered, temporary, delivered)
	if n := len(fake.Mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// Everything that stops before a recipient is spoken of: never a bounce.
func TestRelayThatTurnsUsAwayIsRouteDown(t *testing.T) {
	tests := map[string]struct {
		knobs mailtest.Knobs
		want  waypost.Outcome
		phase waypost.Phase
	}{
		"wrong password":          {mailtest.Knobs{Users: map[string]string{"op": "another"}}, routeDown, waypost.PhaseAuth},
		"535":                     {mailtest.Knobs{Users: users(), Auth: say("535 5.7.8 no")}, routeDown, waypost.PhaseAuth},
		"454 at login":            {mailtest.Knobs{Users: users(), Auth: say("454 4.7.0 too many logins")}, routeDown, waypost.PhaseAuth},
		"550 at login":            {mailtest.Knobs{Users: users(), Auth: say("550 5.1.1 no such user")}, routeDown, waypost.PhaseAuth},
		"closed at login":         {mailtest.Knobs{Users: users(), Auth: mailtest.Answer{Close: true}}, temporary, waypost.PhaseAuth},
		"silent at login":         {mailtest.Knobs{Users: users(), Auth: mailtest.Answer{Hang: true}}, temporary, waypost.PhaseAuth},
		"no login offered":        {mailtest.Knobs{}, routeDown, waypost.PhaseAuth},
		"unknown mechanisms":      {mailtest.Knobs{Users: users(), Mechanisms: []string{"XOAUTH2"}}, routeDown, waypost.PhaseAuth},
		"5xx greeting":            {mailtest.Knobs{Users: users(), Greet: say("554 5.7.1 no mail from you")}, routeDown, waypost.PhaseGreet},
		"4xx greeting":            {mailtest.Knobs{Users: users(), Greet: say("421 4.3.2 closing")}, temporary, waypost.PhaseGreet},
		"silent":                  {mailtest.Knobs{Users: users(), Greet: mailtest.Answer{Hang: true}}, temporary, waypost.PhaseGreet},
		"5xx EHLO":                {mailtest.Knobs{Users: users(), Hello: say("550 5.7.1 bad name")}, routeDown, waypost.PhaseHello},
		"530 at MAIL":             {mailtest.Knobs{Users: users(), Mail: say("530 5.7.0 log in first")}, routeDown, waypost.PhaseMail},
		"sender not ours":         {mailtest.Knobs{Users: users(), Mail: say("553 5.7.1 sender address rejected: not owned by user op")}, routeDown, waypost.PhaseMail},
		"550 at MAIL":             {mailtest.Knobs{Users: users(), Mail: say("550 no")}, routeDown, waypost.PhaseMail},
		"535 at RCPT":             {mailtest.Knobs{Users: users(), Rcpt: say("535 5.7.8 no")}, routeDown, waypost.PhaseRcpt},
		"relaying denied":         {mailtest.Knobs{Users: users(), Rcpt: say("554 5.7.1 relay access denied")}, routeDown, waypost.PhaseRcpt},
		"quota at DATA":           {mailtest.Knobs{Users: users(), Data: say("550 5.4.5 daily sending quota exceeded")}, routeDown, waypost.PhaseData},
		"login wanted at the dot": {mailtest.Knobs{Users: users(), Dot: say("530 5.7.57 client not authenticated")}, routeDown, waypost.PhaseDot},
		"about the message":       {mailtest.Knobs{Users: users(), Dot: say("554 5.6.0 no")}, permanent, waypost.PhaseDot},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, r := relay(t, tt.knobs, func(r *waypost.Relay) { r.Username, r.Password = "op", "secret" })
			w := newWorld(t, nil, short(tt.knobs))
			got := w.send(relayed(r, recipients(3)...))
			outcomes(t, got, tt.want, tt.want, tt.want)
			if got[0].Phase != tt.phase {
				t.Errorf("ended at %s: %s", got[0].Phase, got[0].Reply)
			}
			if got[0].Reply.Text == "" || got[0].Cause == "" {
				t.Errorf("no reason given: %+v", got[0])
			}
			if fake.Connections() != 1 || len(fake.Mails()) != 0 {
				t.Errorf("%d connections, %d mails", fake.Connections(), len(fake.Mails()))
			}
		})
	}
}

func TestRelayThatMisbehaves(t *testing.T) {
	tests := map[string]struct {
		knobs mailtest.Knobs
		big   bool
		want  waypost.Outcome
	}{
		"says nothing to EHLO":       {mailtest.Knobs{Hello: mailtest.Answer{Hang: true}}, false, temporary},
		"says nothing to MAIL":       {mailtest.Knobs{Mail: mailtest.Answer{Hang: true}}, false, temporary},
		"says nothing to RCPT":       {mailtest.Knobs{Rcpt: mailtest.Answer{Hang: true}}, false, temporary},
		"says nothing to DATA":       {mailtest.Knobs{Data: mailtest.Answer{Hang: true}}, false, temporary},
		"closes at DATA":             {mailtest.Knobs{Data: mailtest.Answer{Close: true}}, false, temporary},
		"closes in the message":      {mailtest.Knobs{Body: mailtest.Answer{Close: true, Reset: true}, BodyAfter: 10000}, true, temporary},
		"stops reading the message":  {mailtest.Knobs{Body: mailtest.Answer{Gate: make(chan struct{})}, BodyAfter: 10000}, true, temporary},
		"refuses within the message": {mailtest.Knobs{Body: mailtest.Answer{Reply: "552 5.3.4 enough", Close: true}, BodyAfter: 10000}, true, permanent},
		"takes it and drops":         {mailtest.Knobs{Dot: mailtest.Answer{Close: true}}, false, uncertain},
		"takes it and resets":        {mailtest.Knobs{Dot: mailtest.Answer{Close: true, Reset: true}}, false, uncertain},
		"takes it and is silent":     {mailtest.Knobs{Dot: mailtest.Answer{Hang: true}}, false, uncertain},
		"100 MB for a greeting":      {mailtest.Knobs{Greet: mailtest.Answer{Flood: 100 << 20}}, false, temporary},
		"100 MB to the dot":          {mailtest.Knobs{Dot: mailtest.Answer{Flood: 100 << 20}}, false, uncertain},
		"speaks HTTP":                {mailtest.Knobs{Greet: mailtest.Answer{Raw: "HTTP/1.1 200 OK\r\n\r\n"}}, false, temporary},
		"354 for a greeting":         {mailtest.Knobs{Greet: say("354 go on")}, false, temporary},
		"250 to DATA":                {mailtest.Knobs{Data: mailtest.Answer{Raw: "250 thanks\r\n"}}, false, temporary},
		"354 to the dot":             {mailtest.Knobs{Dot: say("354 more")}, false, uncertain},
		"an answer that never ends":  {mailtest.Knobs{Mail: mailtest.Answer{Raw: strings.Repeat("250-go on\r\n", 500)}}, false, temporary},
		"no such code":               {mailtest.Knobs{Rcpt: mailtest.Answer{Raw: "999 what\r\n"}}, false, temporary},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.knobs.Lenient = true
			fake, r := relay(t, tt.knobs, nil)
			w := newWorld(t, nil, short(tt.knobs))
			j := relayed(r, recipients(2)...)
			if tt.big {
				j.Message.Body = []byte(strings.Repeat("a line of some length, to make it a big message\r\n", 400_000))
			}
			outcomes(t, w.send(j), tt.want, tt.want)
			if n := fake.Connections(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestLaterTransactionsAreNotUncertain(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{Extensions: []string{"LIMITS RCPTMAX=2"}, Dot: mailtest.Answer{Close: true}}, nil)
	w := newWorld(t, nil, nil)
	outcomes(t, w.send(relayed(r, recipients(4)...)), uncertain, uncertain, temporary, temporary)
	if fake.Connections() != 1 {
		t.Errorf("%d connections: something was tried again", fake.Connections())
	}
}

func TestRecipientsRefusedInPersonAreNotUncertain(t *testing.T) {
	_, r := relay(t, mailtest.Knobs{Dot: mailtest.Answer{Close: true}, RcptTo: func(to string) mailtest.Answer {
		if to == "user0@example.test" {
			return say("550 5.1.1 no such user")
		}
		return mailtest.Answer{}
	}}, nil)
	w := newWorld(t, nil, nil)
	outcomes(t, w.send(relayed(r, recipients(2)...)), permanent, uncertain)
}

func TestRelayThatCannotBeReached(t *testing.T) {
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	fake.Stop()
	for name, tt := range map[string]struct {
		host  string
		zones dnstest.Zones
		phase waypost.Phase
		cause string
	}{
		"unknown host":       {"mail.nowhere.invalid", nil, waypost.PhaseDNS, "dns"},
		"no address":         {"mail.op.test", dnstest.Zones{"mail.op.test": {"TXT hello"}}, waypost.PhaseDNS, "dns"},
		"connection refused": {"mail.op.test", dnstest.Zones{"mail.op.test": {"A 127.0.0.1"}}, waypost.PhaseConnect, "connect"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.zones, nil)
			j := relayed(&waypost.Relay{Host: tt.host, Port: fake.Port()}, "someone@example.test").watch()
			got := w.send(j)
			outcomes(t, got, temporary)
			if got[0].Phase != tt.phase || got[0].Cause != tt.cause {
				t.Errorf("ended at %s, cause %s: %s", got[0].Phase, got[0].Cause, got[0].Reply)
			}
			last := j.steps[len(j.steps)-1]
			if last.Phase != tt.phase || last.OK {
				t.Errorf("steps %+v", j.steps)
			}
		})
	}
}

func TestAllAddressesOfARelayAreTried(t *testing.T) {
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	port := hosts(t, nil, nil, fake)
	w := newWorld(t, dnstest.Zones{"mail.op.test": {"A 127.0.1.1", "A 127.0.1.2", "A 127.0.1.3"}}, nil)
	outcomes(t, w.send(relayed(&waypost.Relay{Host: "mail.op.test", Port: port}, "someone@example.test")), delivered)
}

// A relay that points at our own listener, or into our network.
func TestRelayThatTheGuardRefusesIsNotDialed(t *testing.T) {
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	for _, host := range []string{"127.0.0.1", "localhost", "mail.op.test", "[::ffff:127.0.0.1]", "10.0.0.1"} {
		w := newWorld(t, dnstest.Zones{"mail.op.test": {"A 127.0.0.1"}}, func(o *deliver.Options) {
			o.Relays = newGuard(t, guard.Options{Resolver: o.Resolver.(guard.Resolver)})
		})
		got := w.send(relayed(&waypost.Relay{Host: strings.Trim(host, "[]"), Port: fake.Port()}, "someone@example.test"))
		outcomes(t, got, temporary)
		if !strings.Contains(got[0].Reply.Text, "refused") {
			t.Errorf("%s: %s", host, got[0].Reply)
		}
	}
	if fake.Connections() != 0 {
		t.Error("it was dialed")
	}
}

func TestRelayInterruptedBeforeTheDotIsUntried(t *testing.T) {
	gate := make(chan struct{})
	for name, knobs := range map[string]mailtest.Knobs{
		"EHLO": {Hello: mailtest.Answer{Gate: gate}}, "AUTH": {Auth: mailtest.Answer{Gate: gate}},
		"MAIL": {Mail: mailtest.Answer{Gate: gate}}, "DATA": {Data: mailtest.Answer{Gate: gate}},
	} {
		t.Run(name, func(t *testing.T) {
			knobs.Users = users()
			fake, r := relay(t, knobs, nil)
			w := newWorld(t, nil, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan []waypost.Attempt)
			go func() { done <- w.sendCtx(ctx, relayed(r, recipients(2)...)) }()
			fake.WaitCommand(t, name)
			cancel()
			outcomes(t, <-done, untried, untried)
		})
	}
}

func TestMayDotDropsTheConnectionToARelay(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{}, nil)
	w := newWorld(t, nil, nil)
	j := relayed(r, recipients(150)...)
	j.MayDot = func() error { return errTest }
	outcomes(t, w.send(j), make([]waypost.Outcome, 150)...)
	if len(fake.Dotted()) != 0 || fake.Connections() != 1 {
		t.Errorf("%d mails over %d connections", len(fake.Dotted()), fake.Connections())
	}
}

func TestMayTalkTakesRecipientsOutOfATransaction(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{}, nil)
	w := newWorld(t, nil, nil)
	j := relayed(r, recipients(4)...)
	j.MayTalk = func(d *waypost.Delivery) error {
		if d.Recipient == "user2@example.test" {
			return errTest
		}
		return nil
	}
	outcomes(t, w.send(j), delivered, delivered, untried, delivered)
	if n := len(fake.Mails()[0].To); n != 3 {
		t.Errorf("%d recipients", n)
	}
	j = relayed(r, recipients(2)...)
	j.MayTalk = func(*waypost.Delivery) error { return errTest }
	outcomes(t, w.send(j), untried, untried)
	if n := len(fake.Mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestJobWithoutSettingsIsReported(t *testing.T) {
	w := newWorld(t, nil, nil)
	outcomes(t, w.send(relayed(nil, "someone@example.test")), temporary)
	j := newJob([]string{"someone@example.test"})
	j.Route = "pigeon"
	outcomes(t, w.send(j), temporary)
	j = newJob([]string{"someone@example.test"})
	j.Route = waypost.RouteUpstream
	outcomes(t, w.send(j), temporary)
}

func TestSandboxKeepsEverythingHere(t *testing.T) {
	w := newWorld(t, nil, nil)
	j := newJob(recipients(3))
	j.Route = waypost.RouteSandbox
	j.MayTalk = func(d *waypost.Delivery) error {
		if d.Recipient == "user1@example.test" {
			return errTest
		}
		return nil
	}
	outcomes(t, w.send(j.watch()), delivered, untried, delivered)
	if len(j.steps) != 2 || j.attempts[0].Route != waypost.RouteSandbox {
		t.Errorf("steps %+v", fmt.Sprint(j.steps))
	}
}
