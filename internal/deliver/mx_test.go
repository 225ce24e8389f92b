package deliver_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestDirectDeliversOverVERPAndReportsTheRemotesWords(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{}, nil)
	j := direct("someone@example.test")
	got := w.send(j)
	outcomes(t, got, delivered)
	mails := fake.Mails()
	if len(mails) != 1 || mails[0].Helo != "out.platform.test" {
		t.Fatalf("the MX has %+v", mails)
	}
	if id, ok := w.path.Delivery(mails[0].From); !ok || id != j.Deliveries[0].ID {
		t.Errorf("MAIL FROM %q names delivery %q, want %q", mails[0].From, id, j.Deliveries[0].ID)
	}
	a := got[0]
	a.Started, a.Took = j.attempts[0].Started, 0
	want := waypost.Attempt{
		Route: waypost.RouteDirect, Host: "mx.example.test", Address: fmt.Sprintf("127.0.0.1:%d", fake.Port()), Phase: waypost.PhaseDot,
		Outcome: delivered, Reply: waypost.Reply{Code: 250, Enhanced: "2.0.0", Text: "queued as 1-1"}, Started: a.Started,
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Error(diff)
	}
	if a.Started.IsZero() {
		t.Error("the attempt has no start")
	}
}

// three is a domain of three MX hosts, in this order.
func three() dnstest.Zones {
	return dnstest.Zones{
		"example.test":   {"MX 30 c.example.test", "MX 10 a.example.test", "MX 20 b.example.test"},
		"a.example.test": {"A 127.0.1.1"}, "b.example.test": {"A 127.0.1.2"}, "c.example.test": {"A 127.0.1.3"},
	}
}

func TestHostsAreTriedInOrderOfPreference(t *testing.T) {
	// What the first two hosts do, and whether the mail goes on to the third.
	type broken struct {
		knobs mailtest.Knobs
		dead  bool
	}
	hang := mailtest.Answer{Hang: true}
	drop := mailtest.Answer{Close: true}
	goesOn := map[string]broken{
		"connection refused":       {dead: true},
		"4xx greeting":             {knobs: mailtest.Knobs{Greet: say("421 4.3.2 too busy")}},
		"5xx greeting":             {knobs: mailtest.Knobs{Greet: say("554 5.7.1 your address is blocked")}},
		"no greeting":              {knobs: mailtest.Knobs{Greet: hang}},
		"closed at once":           {knobs: mailtest.Knobs{Greet: drop}},
		"nonsense for a greeting":  {knobs: mailtest.Knobs{Greet: mailtest.Answer{Raw: "HTTP/1.1 400 Bad Request\r\n\r\n", Close: true}}},
		"4xx EHLO":                 {knobs: mailtest.Knobs{Hello: say("451 4.3.0 later")}},
		"5xx EHLO":                 {knobs: mailtest.Knobs{Hello: say("550 5.7.1 bad HELO")}},
		"no reply to EHLO":         {knobs: mailtest.Knobs{Hello: hang}},
		"4xx MAIL":                 {knobs: mailtest.Knobs{Mail: say("451 4.7.1 later")}},
		"5xx MAIL about us":        {knobs: mailtest.Knobs{Mail: say("550 5.7.1 sender address rejected")}},
		"421 MAIL":                 {knobs: mailtest.Knobs{Mail: say("421 4.7.0 go away")}},
		"no reply to MAIL":         {knobs: mailtest.Knobs{Mail: hang}},
		"no reply to RCPT":         {knobs: mailtest.Knobs{Rcpt: hang}},
		"closed at RCPT":           {knobs: mailtest.Knobs{Rcpt: drop}},
		"no reply to DATA":         {knobs: mailtest.Knobs{Data: hang}},
		"closed after the 354":     {knobs: mailtest.Knobs{Data: mailtest.Answer{Close: true}}},
		"endless greeting":         {knobs: mailtest.Knobs{Greet: mailtest.Answer{Flood: 1 << 20}}},
		"endless extensions":       {knobs: mailtest.Knobs{Hello: mailtest.Answer{Flood: 1 << 20}}},
		"RST instead of an answer": {knobs: mailtest.Knobs{Mail: mailtest.Answer{Close: true, Reset: true}}},
	}
	for name, b := range goesOn {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.knobs.Lenient = true
			fakes := []*mailtest.SMTP{nil, nil, mailtest.StartSMTP(t, mailtest.Knobs{})}
			if !b.dead {
				fakes[0], fakes[1] = mailtest.StartSMTP(t, b.knobs), mailtest.StartSMTP(t, b.knobs)
			}
			port := hosts(t, fakes...)
			w := newWorld(t, three(), func(o *deliver.Options) { short(b.knobs)(o); o.MXPort = port })
			got := w.send(direct("someone@example.test"))
			outcomes(t, got, delivered)
			if got[0].Host != "c.example.test" || len(fakes[2].Mails()) != 1 {
				t.Errorf("went to %s", got[0].Host)
			}
			if !b.dead && (fakes[0].Connections() == 0 || fakes[1].Connections() == 0) {
				t.Errorf("%d and %d connections to the hosts before it", fakes[0].Connections(), fakes[1].Connections())
			}
			for _, f := range fakes[:2] {
				if f != nil && len(f.Dotted()) > 0 {
					t.Error("a broken host has the mail as well")
				}
			}
		})
	}
}

func TestWhatAHostSaysOfRecipientOrMessageIsFinal(t *testing.T) {
	tests := map[string]struct {
		knobs mailtest.Knobs
		want  waypost.Outcome
		phase waypost.Phase
	}{
		"5xx RCPT":                {mailtest.Knobs{Rcpt: say("550 5.1.1 no such user")}, permanent, waypost.PhaseRcpt},
		"4xx RCPT":                {mailtest.Knobs{Rcpt: say("450 4.2.0 greylisted")}, temporary, waypost.PhaseRcpt},
		"5xx MAIL about the mail": {mailtest.Knobs{Mail: say("552 5.3.4 too big")}, permanent, waypost.PhaseMail},
		"5xx DATA":                {mailtest.Knobs{Data: say("554 5.6.0 no")}, permanent, waypost.PhaseData},
		"5xx dot":                 {mailtest.Knobs{Dot: say("550 5.7.1 spam")}, permanent, waypost.PhaseDot},
		"4xx dot":                 {mailtest.Knobs{Dot: say("451 4.3.0 later")}, temporary, waypost.PhaseDot},
		"RCPT refused, then closed": {
			mailtest.Knobs{Rcpt: mailtest.Answer{Reply: "550 5.1.1 no such user", Close: true}}, permanent, waypost.PhaseRcpt,
		},
		"lost after the dot":   {mailtest.Knobs{Dot: mailtest.Answer{Close: true}}, uncertain, waypost.PhaseDot},
		"silent after the dot": {mailtest.Knobs{Dot: mailtest.Answer{Hang: true}}, uncertain, waypost.PhaseDot},
		"nonsense to the dot":  {mailtest.Knobs{Dot: mailtest.Answer{Raw: "what?\r\n"}}, uncertain, waypost.PhaseDot},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := mailtest.StartSMTP(t, tt.knobs), mailtest.StartSMTP(t, mailtest.Knobs{})
			port := hosts(t, first, second)
			w := newWorld(t, three(), func(o *deliver.Options) { short(tt.knobs)(o); o.MXPort = port })
			got := w.send(direct("someone@example.test"))
			outcomes(t, got, tt.want)
			if got[0].Phase != tt.phase || got[0].Host != "a.example.test" {
				t.Errorf("ended at %s of %s", got[0].Phase, got[0].Host)
			}
			if n := second.Connections(); n != 0 {
				t.Errorf("%d connections to the next host", n)
			}
		})
	}
}

// A big message: its final dot is still here when the server hangs up.
func TestHostThatClosesInTheMessageGivesWayToTheNext(t *testing.T) {
	closes := mailtest.StartSMTP(t, mailtest.Knobs{Body: mailtest.Answer{Close: true, Reset: true}, BodyAfter: 10000})
	good := mailtest.StartSMTP(t, mailtest.Knobs{})
	port := hosts(t, closes, good)
	w := newWorld(t, three(), func(o *deliver.Options) { o.MXPort = port })
	j := direct("someone@example.test")
	j.Message.Body = []byte(strings.Repeat("a line of some length, to make it a big message\r\n", 400_000))
	outcomes(t, w.send(j), delivered)
	if len(closes.Dotted()) != 0 || len(good.Mails()) != 1 {
		t.Errorf("%d mails ended there, %d here", len(closes.Dotted()), len(good.Mails()))
	}
}

func TestWhenAllHostsFailTheirWordsCountMoreThanSilence(t *testing.T) {
	talks := mailtest.StartSMTP(t, mailtest.Knobs{Greet: say("554 5.7.1 your address is on our list")})
	port := hosts(t, talks, nil, nil)
	w := newWorld(t, three(), func(o *deliver.Options) { o.MXPort = port })
	got := w.send(direct("someone@example.test"))
	outcomes(t, got, routeDown)
	if got[0].Host != "a.example.test" || got[0].Reply.Code != 554 {
		t.Errorf("reported %s of %s", got[0].Reply, got[0].Host)
	}
}

func TestEqualPreferencesShareTheLoad(t *testing.T) {
	a, b := mailtest.StartSMTP(t, mailtest.Knobs{MaxMails: 1}), mailtest.StartSMTP(t, mailtest.Knobs{MaxMails: 1})
	port := hosts(t, a, b)
	w := newWorld(t, dnstest.Zones{
		"example.test":   {"MX 10 a.example.test", "MX 10 b.example.test"},
		"a.example.test": {"A 127.0.1.1"}, "b.example.test": {"A 127.0.1.2"},
	}, func(o *deliver.Options) { o.MXPort, o.Mails = port, 1 })
	for range 64 { // all on one side: once in 2^63 runs
		outcomes(t, w.send(direct("someone@example.test")), delivered)
	}
	if len(a.Mails()) == 0 || len(b.Mails()) == 0 || len(a.Mails())+len(b.Mails()) != 64 {
		t.Errorf("%d and %d mails", len(a.Mails()), len(b.Mails()))
	}
}

func TestAllAddressesOfAHostAreTried(t *testing.T) {
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	port := hosts(t, nil, nil, fake)
	w := newWorld(t, dnstest.Zones{
		"example.test":    {"MX 10 mx.example.test"},
		"mx.example.test": {"A 127.0.1.1", "A 127.0.1.2", "A 127.0.1.3", "AAAA ::1"},
	}, func(o *deliver.Options) {
		o.MXPort = port
		o.MX = newGuard(t, guard.Options{Allow: append(loopback(), netip.MustParsePrefix("::1/128"))})
	})
	got := w.send(direct("someone@example.test"))
	outcomes(t, got, delivered)
	if want := fmt.Sprintf("127.0.1.3:%d", port); got[0].Address != want {
		t.Errorf("delivered to %s, want %s", got[0].Address, want)
	}
}

func TestIPv6OnlyHostIsReached(t *testing.T) {
	w := newWorld(t, dnstest.Zones{"example.test": {"MX 10 mx.example.test"}, "mx.example.test": {"AAAA ::1"}}, func(o *deliver.Options) {
		o.MXPort = 1 // nothing listens; that it is dialed is enough
		o.MX = newGuard(t, guard.Options{Allow: []netip.Prefix{netip.MustParsePrefix("::1/128")}})
	})
	got := w.send(direct("someone@example.test"))
	outcomes(t, got, temporary)
	if got[0].Address != "[::1]:1" || got[0].Phase != waypost.PhaseConnect {
		t.Errorf("tried %s, ended at %s", got[0].Address, got[0].Phase)
	}
}

func TestDestinations(t *testing.T) {
	tests := map[string]struct {
		to       string
		zones    dnstest.Zones
		fault    dnstest.Fault // of example.test
		want     waypost.Outcome
		enhanced string
	}{
		"null MX":                      {"a@example.test", dnstest.Zones{"example.test": {"MX 0 ."}}, 0, permanent, "5.1.10"},
		"no such domain":               {"a@nowhere.invalid", nil, 0, permanent, "5.1.2"},
		"neither MX nor address":       {"a@example.test", dnstest.Zones{"example.test": {"TXT hello"}}, 0, permanent, "5.4.4"},
		"SERVFAIL":                     {"a@example.test", nil, dnstest.ServFail, temporary, ""},
		"REFUSED":                      {"a@example.test", nil, dnstest.Refuse, temporary, ""},
		"no answer":                    {"a@example.test", nil, dnstest.Drop, temporary, ""},
		"malformed":                    {"a@example.test", nil, dnstest.Malformed, temporary, ""},
		"lame":                         {"a@example.test", nil, dnstest.Lame, temporary, ""},
		"implicit MX":                  {"a@example.test", dnstest.Zones{"example.test": {"A 127.0.0.1"}}, 0, delivered, "2.0.0"},
		"alias":                        {"a@alias.test", dnstest.Zones{"alias.test": {"CNAME example.test"}, "example.test": {"A 127.0.0.1"}}, 0, delivered, "2.0.0"},
		"IDN":                          {"a@münchen.test", dnstest.Zones{"xn--mnchen-3ya.test": {"MX 5 mx.example.test"}, "mx.example.test": {"A 127.0.0.1"}}, 0, delivered, "2.0.0"},
		"address literal":              {"a@[127.0.0.1]", nil, 0, delivered, "2.0.0"},
		"no address literal":           {"a@[300.0.0.1]", nil, 0, permanent, "5.1.2"},
		"MX without address":           {"a@example.test", dnstest.Zones{"example.test": {"MX 5 mx.example.test"}}, 0, temporary, ""},
		"MX that is an IP address":     {"a@example.test", dnstest.Zones{"example.test": {"MX 5 127.0.0.1"}}, 0, temporary, ""},
		"one of two MX has an address": {"a@example.test", dnstest.Zones{"example.test": {"MX 1 gone.example.test", "MX 5 mx.example.test"}, "mx.example.test": {"A 127.0.0.1"}}, 0, delivered, "2.0.0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := mailtest.StartSMTP(t, mailtest.Knobs{})
			w := newWorld(t, tt.zones, func(o *deliver.Options) { o.MXPort = fake.Port() })
			if tt.fault != 0 {
				w.dns.Fault("example.test", tt.fault)
			}
			got := w.send(direct(tt.to))
			outcomes(t, got, tt.want)
			if got[0].Reply.Enhanced != tt.enhanced {
				t.Errorf("reply %q, want %s", got[0].Reply, tt.enhanced)
			}
			if got[0].Reply.Text == "" {
				t.Error("no reason given")
			}
			if n := fake.Connections(); (n > 0) != (tt.want == delivered) {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestIDNTravelsInALabels(t *testing.T) {
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Extensions: []string{"PIPELINING"}})
	w := newWorld(t, dnstest.Zones{"xn--mnchen-3ya.test": {"A 127.0.0.1"}}, func(o *deliver.Options) { o.MXPort = fake.Port() })
	outcomes(t, w.send(direct("a@münchen.test")), delivered)
	if got := fake.Mails()[0].To[0]; got != "a@xn--mnchen-3ya.test" {
		t.Errorf("RCPT TO %q", got)
	}
}

func TestHostsOfOurOwnNetworkAreNotDialed(t *testing.T) {
	for name, tt := range map[string]struct {
		records []string
		address string
	}{
		"loopback":    {[]string{"MX 10 mx.example.test"}, "127.0.0.1"},
		"private":     {[]string{"MX 10 mx.example.test"}, "10.1.2.3"},
		"link-local":  {[]string{"MX 10 mx.example.test"}, "169.254.169.254"},
		"unspecified": {[]string{"MX 10 mx.example.test"}, "0.0.0.0"},
		"ourselves":   {[]string{"MX 10 mx.example.test"}, "198.51.100.7"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := mailtest.StartSMTP(t, mailtest.Knobs{})
			zones := dnstest.Zones{"example.test": tt.records, "mx.example.test": {"A " + tt.address}}
			w := newWorld(t, zones, func(o *deliver.Options) {
				o.MXPort = fake.Port()
				o.MX = newGuard(t, guard.Options{Own: []netip.Addr{netip.MustParseAddr("198.51.100.7")}})
			})
			got := w.send(direct("someone@example.test"))
			outcomes(t, got, temporary)
			if !strings.Contains(got[0].Reply.Text, "refused") || fake.Connections() != 0 {
				t.Errorf("%d connections, reply %q", fake.Connections(), got[0].Reply)
			}
		})
	}
}

func TestAHostThatMayNotBeDialedIsPassedOver(t *testing.T) {
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := newWorld(t, dnstest.Zones{
		"example.test": {"MX 10 a.example.test", "MX 20 b.example.test"}, "a.example.test": {"A 10.1.2.3"}, "b.example.test": {"A 127.0.0.1"},
	}, func(o *deliver.Options) { o.MXPort = fake.Port() })
	got := w.send(direct("someone@example.test"))
	outcomes(t, got, delivered)
	if got[0].Host != "b.example.test" {
		t.Errorf("delivered to %s", got[0].Host)
	}
}

func TestOurselvesIsDialedForOurReturnPathOnly(t *testing.T) {
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	self := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	zones := dnstest.Zones{
		"bounce.platform.test": {"MX 10 mx.platform.test"}, "platform.test": {"MX 10 mx.platform.test"}, "mx.platform.test": {"A 127.0.0.1"},
	}
	w := newWorld(t, zones, func(o *deliver.Options) {
		o.MXPort = fake.Port()
		o.MX = newGuard(t, guard.Options{Own: self})
	})
	outcomes(t, w.send(direct("b-x@bounce.platform.test")), delivered)
	outcomes(t, w.send(direct("someone@platform.test")), temporary)
	if n := len(fake.Mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestRecipientsOfASiteGetATransactionEachOverOneSession(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{RcptTo: func(to string) mailtest.Answer {
		switch to {
		case "user1@example.test":
			return say("550 5.1.1 no such user")
		case "user2@example.test":
			return say("452 4.2.2 mailbox full")
		}
		return mailtest.Answer{}
	}}, nil)
	j := direct(recipients(4)...)
	outcomes(t, w.send(j), delivered, permanent, temporary, delivered)
	mails := fake.Mails()
	if len(mails) != 2 || fake.Connections() != 1 {
		t.Fatalf("%d mails over %d connections", len(mails), fake.Connections())
	}
	for n, i := range []int{0, 3} {
		if id, ok := w.path.Delivery(mails[n].From); !ok || id != j.Deliveries[i].ID || len(mails[n].To) != 1 {
			t.Errorf("mail %d is from %q to %q", n, mails[n].From, mails[n].To)
		}
	}
}

func TestServerThatEndsTheSessionAfterEachMailGetsThemAll(t *testing.T) {
	for name, knobs := range map[string]mailtest.Knobs{
		"421 to the next MAIL": {MaxMails: 1},
		"421 to the dot":       {Dot: mailtest.Answer{Reply: "250 2.0.0 ok", Close: true}},
		"LIMITS":               {Extensions: []string{"PIPELINING", "LIMITS MAILMAX=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, fake := mx(t, knobs, nil)
			outcomes(t, w.send(direct(recipients(3)...)), delivered, delivered, delivered)
			if len(fake.Mails()) != 3 || fake.Connections() != 3 {
				t.Errorf("%d mails over %d connections", len(fake.Mails()), fake.Connections())
			}
		})
	}
}

func TestKeptSessionThatRefusesUsGivesWayToTheNextHost(t *testing.T) {
	a, b := mailtest.StartSMTP(t, mailtest.Knobs{}), mailtest.StartSMTP(t, mailtest.Knobs{})
	port := hosts(t, a, b)
	w := newWorld(t, three(), func(o *deliver.Options) { o.MXPort = port })
	outcomes(t, w.send(direct("someone@example.test")), delivered)
	a.Set(func(k *mailtest.Knobs) { k.Mail = say("550 5.7.1 your reputation is gone") })
	got := w.send(direct("someone@example.test"))
	outcomes(t, got, delivered)
	if got[0].Host != "b.example.test" || a.Connections() != 1 {
		t.Errorf("went to %s, %d connections to the first host", got[0].Host, a.Connections())
	}
}

func TestLostConnectionAfterTheDotConcernsOneRecipient(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{}, nil)
	second := false
	fake.Set(func(k *mailtest.Knobs) {
		k.Message = func(m mailtest.ReceivedMail) mailtest.Answer {
			if m.To[0] == "user1@example.test" && !second {
				second = true
				return mailtest.Answer{Close: true}
			}
			return mailtest.Answer{}
		}
	})
	outcomes(t, w.send(direct(recipients(3)...)), delivered, uncertain, temporary)
	if n := fake.Connections(); n != 1 {
		t.Errorf("%d connections: something was tried again", n)
	}
}

func TestInterruptedBeforeMAILIsUntried(t *testing.T) {
	gate := make(chan struct{})
	for name, knobs := range map[string]mailtest.Knobs{
		"at the greeting": {Greet: mailtest.Answer{Gate: gate}},
		"at EHLO":         {Hello: mailtest.Answer{Gate: gate}},
		"at MAIL":         {Mail: mailtest.Answer{Gate: gate}},
		"at DATA":         {Data: mailtest.Answer{Gate: gate}},
	} {
		t.Run(name, func(t *testing.T) {
			w, fake := mx(t, knobs, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan []waypost.Attempt)
			go func() { done <- w.sendCtx(ctx, direct(recipients(2)...)) }()
			fake.WaitConnections(t, 1)
			if name != "at the greeting" {
				fake.WaitCommand(t, map[string]string{"at EHLO": "EHLO", "at MAIL": "MAIL", "at DATA": "DATA"}[name])
			}
			cancel()
			outcomes(t, <-done, untried, untried)
		})
	}
}

func TestInterruptedAfterTheDotIsUncertain(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{Dot: mailtest.Answer{Hang: true}}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan []waypost.Attempt)
	go func() { done <- w.sendCtx(ctx, direct(recipients(2)...)) }()
	fake.WaitDotted(t, 1)
	cancel()
	outcomes(t, <-done, uncertain, untried)
}

func TestMayTalkIsAskedRightBeforeMAILAndHonoured(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{}, nil)
	j := direct(recipients(3)...)
	asked := 0
	j.MayTalk = func(d *waypost.Delivery) error {
		if asked == 0 && fake.Connections() == 0 {
			t.Error("asked before there was a connection: a hanging server could not be let go of")
		}
		asked++
		if d.Recipient == "user1@example.test" {
			return errTest
		}
		return nil
	}
	outcomes(t, w.send(j), delivered, untried, delivered)
	if asked != 3 || len(fake.Mails()) != 2 {
		t.Errorf("asked %d times, %d mails", asked, len(fake.Mails()))
	}
}

func TestMayDotKeepsTheMailHere(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{}, nil)
	j := direct(recipients(3)...)
	dots := 0
	j.MayDot = func() error {
		if dots++; dots > 1 {
			return errTest
		}
		return nil
	}
	outcomes(t, w.send(j), delivered, untried, untried)
	if len(fake.Dotted()) != 1 || fake.Connections() != 1 {
		t.Errorf("%d mails reached the server over %d connections", len(fake.Dotted()), fake.Connections())
	}
}

func TestSMTPUTF8IsNeededButNotOffered(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{Extensions: []string{"PIPELINING", "8BITMIME"}}, nil)
	got := w.send(direct("müller@example.test", "plain@example.test"))
	outcomes(t, got, permanent, delivered)
	if got[0].Reply.Enhanced != "5.6.7" || len(fake.Mails()) != 1 {
		t.Errorf("reply %s, %d mails", got[0].Reply, len(fake.Mails()))
	}
}

func TestMessageOverTheServersLimitIsNotSent(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{Extensions: []string{"PIPELINING", "SIZE 500"}}, nil)
	got := w.send(direct("someone@example.test"))
	outcomes(t, got, permanent)
	if got[0].Reply.Enhanced != "5.3.4" || len(fake.Commands()) != 1 {
		t.Errorf("reply %s after %q", got[0].Reply, fake.Commands())
	}
}
