package deliver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

// sharing is two domains with the same MX hosts, and one with other ones.
func sharing() dnstest.Zones {
	return dnstest.Zones{
		"one.test": {"MX 10 a.host.test", "MX 20 b.host.test"}, "two.test": {"MX 10 b.host.test", "MX 10 A.host.test"},
		"other.test":  {"MX 10 a.host.test"},
		"a.host.test": {"A 127.0.0.1"}, "b.host.test": {"A 127.0.0.1"},
	}
}

// sites makes a world of some zones, all served by one fake.
func sites(t *testing.T, zones dnstest.Zones, knobs mailtest.Knobs) (*world, *mailtest.SMTP) {
	t.Helper()
	fake := mailtest.StartSMTP(t, knobs)
	return newWorld(t, zones, func(o *deliver.Options) { o.MXPort = fake.Port() }), fake
}

// hear makes a job tell which hosts it heard of.
func (j *job) hear(names *[]string) *job {
	j.Resolved = func(mx string) error {
		*names = append(*names, mx)
		return nil
	}
	return j
}

func TestDomainsOfTheSameHostsShareAName(t *testing.T) {
	w, fake := sites(t, sharing(), mailtest.Knobs{})
	var one, two, other []string
	outcomes(t, w.send(direct("u@one.test").hear(&one)), delivered)
	outcomes(t, w.send(direct("u@two.test").hear(&two)), delivered)
	outcomes(t, w.send(direct("u@other.test").hear(&other)), delivered)
	if fmt.Sprint(one, two, other) != "[a.host.test b.host.test] [a.host.test b.host.test] [a.host.test]" {
		t.Errorf("%q, %q, %q", one, two, other)
	}
	if n := fake.Connections(); n != 2 {
		t.Errorf("%d connections: the two domains share a session, and the third does not", n)
	}
	// With a session that is kept it is heard again, before the session is used.
	outcomes(t, w.send(direct("u@two.test").hear(&two)), delivered)
	if len(two) != 2 || fake.Connections() != 2 {
		t.Errorf("%q over %d connections", two, fake.Connections())
	}
}

func TestJobThatMayNotGoToItsHostsDialsNobody(t *testing.T) {
	w, fake := sites(t, sharing(), mailtest.Knobs{})
	no := func(j *job) { j.Resolved = func(string) error { return errTest } }
	outcomes(t, w.send(direct("u@one.test").with(no)), untried)
	if n := fake.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
	outcomes(t, w.send(direct("u@one.test")), delivered)
	outcomes(t, w.send(direct("u@one.test").with(no)), untried)
	outcomes(t, w.send(direct("u@two.test").with(no)), untried)
	if n := len(fake.Mails()); n != 1 {
		t.Errorf("%d mails over a kept session", n)
	}
}

// A domain of somebody else's may have our own hosts as its MX: it must not get the
// session that the guard allows for our return path only.
func TestSessionToOurselvesIsSharedWithNobody(t *testing.T) {
	zones := dnstest.Zones{
		"bounce.platform.test": {"MX 10 self.platform.test"}, "evil.test": {"MX 10 self.platform.test"}, "self.platform.test": {"A 127.0.0.1"},
	}
	w, fake := sites(t, zones, mailtest.Knobs{})
	var own, evil []string
	outcomes(t, w.send(direct("u@bounce.platform.test").hear(&own)), delivered)
	outcomes(t, w.send(direct("u@evil.test").hear(&evil)), delivered)
	if len(own) != 0 || len(evil) != 1 || fake.Connections() != 2 {
		t.Errorf("%q, %q, %d connections", own, evil, fake.Connections())
	}
}

func TestHostsCannotBeNamedLikeADomainsOwn(t *testing.T) {
	zones := dnstest.Zones{
		"bounce.platform.test": {"MX 10 self.platform.test"}, "evil.test": {"MX 10 only", "MX 20 \\=", "MX 30 self.platform.test"}, "self.platform.test": {"A 127.0.0.1"},
	}
	w, fake := sites(t, zones, mailtest.Knobs{})
	var evil []string
	outcomes(t, w.send(direct("u@bounce.platform.test")), delivered)
	outcomes(t, w.send(direct("u@evil.test").hear(&evil)), delivered)
	if fmt.Sprint(evil) != "[only self.platform.test]" || fake.Connections() != 2 {
		t.Errorf("%q over %d connections", evil, fake.Connections())
	}
}

func TestTooManyHostsHaveNoCommonName(t *testing.T) {
	zones := dnstest.Zones{"many.test": {}}
	for n := range 25 {
		host := fmt.Sprintf("h%d.many.test", n)
		zones["many.test"] = append(zones["many.test"], fmt.Sprintf("MX %d %s", n, host))
		zones[host] = []string{"A 127.0.0.1"}
	}
	w, _ := sites(t, zones, mailtest.Knobs{})
	var heard []string
	outcomes(t, w.send(direct("u@many.test").hear(&heard)), delivered)
	if len(heard) != 0 {
		t.Errorf("%q: which of them are taken is chance", heard)
	}
}

func TestWhoAsksForLessMailIsNotAskedAtEveryDoor(t *testing.T) {
	for stage, knobs := range map[waypost.Phase]mailtest.Knobs{
		waypost.PhaseGreet: {Greet: say("421 4.7.0 Try again later, closing connection.")},
		waypost.PhaseHello: {Hello: say("421 4.7.0 Try again later, closing connection.")},
		waypost.PhaseMail:  {Mail: say("421 4.7.0 Try again later, closing connection.")},
	} {
		t.Run(string(stage), func(t *testing.T) {
			w, fake := sites(t, sharing(), knobs)
			got := w.send(direct("u@one.test"))
			outcomes(t, got, temporary)
			a := got[0]
			if a.Slow != (waypost.Slow{How: waypost.SlowRate, For: 15 * time.Minute}) || a.Phase != stage || a.Cause != "rate" || a.Reply.Code != 421 {
				t.Errorf("%+v", a)
			}
			if n := fake.Connections(); n != 1 {
				t.Errorf("%d connections to say it again", n)
			}
		})
	}
}

func TestKeptSessionThatAsksForLessMailEndsTheAttempt(t *testing.T) {
	w, fake := sites(t, sharing(), mailtest.Knobs{})
	outcomes(t, w.send(direct("u@one.test")), delivered)
	fake.Set(func(k *mailtest.Knobs) { k.Mail = say("451 4.7.0 [TSS04] Messages temporarily deferred") })
	got := w.send(direct("u@two.test"))
	outcomes(t, got, temporary)
	if got[0].Slow.How != waypost.SlowSuspend || fake.Connections() != 1 {
		t.Errorf("%+v over %d connections", got[0], fake.Connections())
	}
}

func TestHostWithTooManyConnectionsGivesWayToTheNext(t *testing.T) {
	full := mailtest.StartSMTP(t, mailtest.Knobs{Greet: say("421 4.7.0 Too many connections from your host")})
	free := mailtest.StartSMTP(t, mailtest.Knobs{})
	port := hosts(t, full, free)
	w := newWorld(t, three(), func(o *deliver.Options) { o.MXPort = port })
	outcomes(t, w.send(direct("u@example.test")), delivered)
	if len(free.Mails()) != 1 {
		t.Error("not by the next host")
	}
}

func TestRelaysRepliesSayHowToSlowDown(t *testing.T) {
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Rcpt: say("451 4.7.1 Slow down, you are sending too fast")})
	w := newWorld(t, nil, nil)
	r := &waypost.Relay{Host: "127.0.0.1", Port: fake.Port()}
	got := w.send(relayed(r, "u@example.test"))
	outcomes(t, got, temporary)
	if got[0].Slow.How != waypost.SlowRate {
		t.Errorf("%+v", got[0])
	}
}
