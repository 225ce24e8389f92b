package deliver_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// upstreamWorld makes a world with an upstream, in which every siteN.test has an MX at a
// closed port and every silentN.test one without a way to it, as where port 25 is closed
// on the way; example.test has the upstream itself for its MX.
func upstreamWorld(t testing.TB, up *mailtest.SMTP, mode route.UpstreamMode, change func(*deliver.Options)) *world {
	t.Helper()
	port := hosts(t, nil, up)
	zones := dnstest.Zones{"example.test": {"A 127.0.1.2"}}
	zones["manyhosts.test"] = []string{"MX 10 first.manyhosts.test", "MX 20 second.manyhosts.test"}
	zones["first.manyhosts.test"], zones["second.manyhosts.test"] = []string{"A 127.255.255.255"}, []string{"A 127.255.255.255"}
	for n := range 15 {
		zones[fmt.Sprintf("site%d.test", n)] = []string{"A 127.0.1.1"}
		zones[fmt.Sprintf("silent%d.test", n)] = []string{"A 127.255.255.255"} // the broadcast address: no TCP
	}
	return newWorld(t, zones, func(o *deliver.Options) {
		o.MXPort = port
		o.Platform.Upstream, o.Platform.UpstreamMode = &waypost.Relay{Host: "127.0.0.1", Port: up.Port()}, mode
		if change != nil {
			change(o)
		}
	})
}

func TestUpstreamInsteadCarriesSignedMailWithOurReturnPaths(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{Users: users(), RequireAuth: true})
	w := upstreamWorld(t, up, route.UpstreamInstead, func(o *deliver.Options) {
		o.Platform.Upstream.Username, o.Platform.Upstream.Password = "op", "secret"
	})
	j := direct("a@site0.test", "b@site0.test")
	j.Route, j.Relay = waypost.RouteUpstream, nil
	got := w.send(j)
	outcomes(t, got, delivered, delivered)
	mails := up.Mails()
	if len(mails) != 2 || up.Connections() != 1 {
		t.Fatalf("%d mails over %d connections", len(mails), up.Connections())
	}
	for i, m := range mails {
		if id, ok := w.path.Delivery(m.From); !ok || id != j.Deliveries[i].ID || m.AuthUser != "op" {
			t.Errorf("mail %d: %+v", i, m)
		}
		w.verify(m.Data, "op.test")
		if got[i].Route != waypost.RouteUpstream {
			t.Errorf("recorded as %s", got[i].Route)
		}
	}
}

func TestAnUpstreamThatSignsGetsMailWithoutASignatureOfOurs(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamInstead, func(o *deliver.Options) { o.UpstreamSigns = true })
	w.keys.fail(errors.New("no key")) // nor is one needed
	j := direct("a@site0.test")
	j.Route, j.Relay = waypost.RouteUpstream, nil
	outcomes(t, w.send(j), delivered)
	mails := up.Mails()
	if len(mails) != 1 || bytes.Contains(mails[0].Data, []byte("DKIM-Signature")) {
		t.Errorf("%+v", mails)
	}
	if id, ok := w.path.Delivery(mails[0].From); !ok || id != j.Deliveries[0].ID {
		t.Errorf("return path %s", mails[0].From)
	}
	// What leaves directly is never unsigned, whatever the upstream does.
	outcomes(t, w.send(direct("a@example.test")), temporary)
}

func TestFallbackCarriesWhatCannotBeConnected(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	got := w.send(direct("a@site0.test"))
	outcomes(t, got, delivered)
	if got[0].Route != waypost.RouteUpstream || len(up.Mails()) != 1 {
		t.Errorf("%+v", got[0])
	}
	w.verify(up.Mails()[0].Data, "op.test")
}

func TestWithoutFallbackItWaits(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamOff, nil)
	got := w.send(direct("a@site0.test"))
	outcomes(t, got, temporary)
	if got[0].Route != waypost.RouteDirect || got[0].Phase != waypost.PhaseConnect {
		t.Errorf("%+v", got[0])
	}
}

func TestMailThatMayHaveArrivedTakesNoFallback(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	outcomes(t, w.send(direct("a@site0.test").with(func(j *job) { j.Pinned = true })), temporary)
	if up.Connections() != 0 {
		t.Error("it went upstream")
	}
}

func TestFallbackIsForUnreachableHostsOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		knobs mailtest.Knobs
		want  waypost.Outcome
	}{
		"refused in person":   {mailtest.Knobs{Rcpt: say("550 5.1.1 no such user")}, permanent},
		"greylisted":          {mailtest.Knobs{Rcpt: say("450 4.2.0 later")}, temporary},
		"our address blocked": {mailtest.Knobs{Greet: say("554 5.7.1 blocked")}, routeDown},
		"uncertain":           {mailtest.Knobs{Dot: mailtest.Answer{Close: true}}, uncertain},
		"lost in DATA":        {mailtest.Knobs{Data: mailtest.Answer{Close: true}}, temporary},
	} {
		t.Run(name, func(t *testing.T) {
			host, up := mailtest.StartSMTP(t, tt.knobs), mailtest.StartSMTP(t, mailtest.Knobs{})
			w := newWorld(t, dnstest.Zones{"example.test": {"A 127.0.0.1"}}, func(o *deliver.Options) {
				o.MXPort = host.Port()
				o.Platform.Upstream, o.Platform.UpstreamMode = &waypost.Relay{Host: "127.0.0.1", Port: up.Port()}, route.UpstreamFallback
			})
			outcomes(t, w.send(direct("a@example.test")), tt.want)
			if up.Connections() != 0 {
				t.Error("it went upstream")
			}
		})
	}
}

func TestFallbackIsNotForHostsThatTheGuardRefuses(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, func(o *deliver.Options) { o.MX = newGuard(t, guard.Options{}) })
	outcomes(t, w.send(direct("a@site0.test")), temporary)
	if up.Connections() != 0 {
		t.Error("a domain that points at our own network got its mail sent upstream")
	}
}

// of makes the job another operator's.
func (j *job) of(operator string) *job { return j.with(func(j *job) { j.Account.ID = operator }) }

func TestDirectOutageIsRemembered(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	for n := range 5 {
		outcomes(t, w.send(direct(fmt.Sprintf("a@silent%d.test", n)).of([]string{"a", "b"}[n%2])), delivered)
	}
	// After two sites of each, nothing is looked up any more.
	if w.dns.Count("silent3.test", "MX") != 1 || w.dns.Count("silent4.test", "MX") != 0 {
		t.Errorf("asked for silent3 %d times, for silent4 %d times", w.dns.Count("silent3.test", "MX"), w.dns.Count("silent4.test", "MX"))
	}
}

func TestOneOperatorsDomainsDivertNobodysMail(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	outcomes(t, w.send(direct("a@example.test").of("b")), delivered)
	for n := range 15 {
		outcomes(t, w.send(direct(fmt.Sprintf("a@silent%d.test", n)).of("a")), delivered)
	}
	got := w.send(direct("a@example.test").of("b").watch()) // over a new session
	outcomes(t, got, delivered)
	if got[0].Route != waypost.RouteDirect {
		t.Errorf("went over %s", got[0].Route)
	}
}

func TestOperatorsOfOneParentAreOne(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	outcomes(t, w.send(direct("a@example.test").of("b")), delivered)
	for n := range 8 {
		outcomes(t, w.send(direct(fmt.Sprintf("a@silent%d.test", n)).with(func(j *job) {
			j.Account.ID, j.Account.ParentID = fmt.Sprintf("child%d", n), "a"
		})), delivered)
	}
	if w.dns.Count("silent7.test", "MX") != 1 {
		t.Error("direct delivery was given up for what one of them can stage")
	}
}

func TestHostsThatRefuseAreNoOutage(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	for n := range 15 {
		outcomes(t, w.send(direct(fmt.Sprintf("a@site%d.test", n)).of([]string{"a", "b"}[n%2])), delivered)
	}
	if w.dns.Count("site14.test", "MX") != 1 {
		t.Error("direct delivery was given up although every host was reached")
	}
}

func TestOutageEndsWithTheFirstMailThatGoesThrough(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	for n := range 4 {
		outcomes(t, w.send(direct(fmt.Sprintf("a@silent%d.test", n)).of([]string{"a", "b"}[n%2])), delivered)
	}
	over := func(to string, lane waypost.Lane) waypost.RouteKind {
		got := w.send(direct(to).of("c").with(func(j *job) { j.Lane = lane }).watch()) // never over a kept session
		outcomes(t, got, delivered)
		return got[0].Route
	}
	if r := over("a@example.test", waypost.LaneTransactional); r != waypost.RouteUpstream {
		t.Fatalf("went over %s in an outage", r)
	}
	w.d.PassOutage(30 * time.Second)
	if r := over("a@example.test", waypost.LaneAlarm); r != waypost.RouteUpstream {
		t.Errorf("an alarm went over %s", r)
	}
	if r := over("a@manyhosts.test", waypost.LaneReport); r != waypost.RouteUpstream || w.dns.Count("second.manyhosts.test", "A") != 0 {
		t.Errorf("a probe went over %s, or looked further than it had to", r)
	}
	w.d.PassOutage(2 * time.Minute)
	for range 2 {
		if r := over("a@example.test", waypost.LaneReport); r != waypost.RouteDirect {
			t.Errorf("went over %s although the port is open again", r)
		}
	}
}

func TestSilenceInTimeIsAnOutage(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, func(o *deliver.Options) {
		o.MX = newGuard(t, guard.Options{Allow: loopback(), Timeout: time.Nanosecond})
	})
	for n := range 5 {
		outcomes(t, w.send(direct(fmt.Sprintf("a@site%d.test", n)).of([]string{"a", "b"}[n%2])), delivered)
	}
	if w.dns.Count("site3.test", "MX") != 1 || w.dns.Count("site4.test", "MX") != 0 {
		t.Errorf("asked for site3 %d times, for site4 %d times", w.dns.Count("site3.test", "MX"), w.dns.Count("site4.test", "MX"))
	}
}

func TestOneSiteThatCannotBeConnectedIsNoOutage(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	for range 12 {
		outcomes(t, w.send(direct("a@silent0.test")), delivered)
	}
	got := w.send(direct("a@example.test")) // its MX works
	outcomes(t, got, delivered)
	if got[0].Route != waypost.RouteDirect {
		t.Errorf("went over %s", got[0].Route)
	}
}

func TestSitesThatFailedBeforeSomethingWorkedDoNotCount(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	for n, site := range []string{"silent0.test", "silent1.test", "silent2.test", "example.test", "silent3.test", "silent4.test"} {
		outcomes(t, w.send(direct("a@"+site).of([]string{"a", "b"}[n%2])), delivered)
	}
	if w.dns.Count("silent4.test", "MX") != 1 {
		t.Error("direct delivery was given up although it had worked meanwhile")
	}
}

func TestUpstreamThatTurnsUsAwayIsRouteDownForAll(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{Mail: say("530 5.7.0 authentication required")})
	w := upstreamWorld(t, up, route.UpstreamFallback, nil)
	outcomes(t, w.send(direct("a@site0.test", "b@site0.test", "c@site0.test")), routeDown, routeDown, routeDown)
	if n := len(up.Commands()); n > 6 { // EHLO, MAIL, RCPT, DATA, QUIT
		t.Errorf("it was asked again and again: %q", up.Commands())
	}
}

// An operator that names the platform's upstream as its own server must not get a
// session that was dialed without the guard.
func TestOperatorsNeverShareTheUpstreamsSessions(t *testing.T) {
	up := mailtest.StartSMTP(t, mailtest.Knobs{})
	w := upstreamWorld(t, up, route.UpstreamInstead, func(o *deliver.Options) { o.Relays = newGuard(t, guard.Options{}) })
	j := direct("a@site0.test")
	j.Route = waypost.RouteUpstream
	outcomes(t, w.send(j), delivered)
	settings := &waypost.Relay{Host: "127.0.0.1", Port: up.Port()}
	got := w.send(relayed(settings, "a@example.test"))
	outcomes(t, got, temporary)
	if len(up.Mails()) != 1 {
		t.Error("the guard was bypassed")
	}
}
