package deliver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// events plays what happens to direct mail: "a1" is that site 1 said nothing to mail of
// operator a, "ok" that a host answered. It returns whether mail of operator z is
// diverted then.
func events(o *outage, happens ...string) bool {
	for _, e := range happens {
		if e == "ok" {
			o.answered()
			continue
		}
		o.sending(e[:1])
		o.failed(e[:1], e[1:], time.Now())
	}
	diverts, _ := o.diverts("z", true)
	return diverts
}

// sites are failures of so many sites of an operator.
func sites(operator string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s%d", operator, i))
	}
	return all
}

func TestOutageIsWhatNoOperatorCanStageAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		happens []string
		want    bool
	}{
		"two operators":                              {[]string{"a1", "a2", "b3", "b4"}, true},
		"the same sites for both, but three":         {[]string{"a1", "a2", "b2", "b3"}, true},
		"four operators, one site each":              {[]string{"a1", "b2", "c3", "d4"}, true},
		"two sites that nobody reaches":              {[]string{"a1", "a2", "b1", "b2", "c1", "c2"}, false},
		"many sites of one operator":                 {append([]string{"b1", "ok"}, sites("a", 100)...), false},
		"many of one, and a dead domain of another":  {append(sites("a", 9), "b1"), false},
		"one operator, three sites":                  {sites("a", 3), false},
		"one operator that is alone, nine sites":     {sites("a", 9), false},
		"one operator that is alone, ten sites":      {sites("a", 10), true},
		"one operator that is alone, one site often": {[]string{"a1", "a1", "a1", "a1", "a1", "a1", "a1", "a1", "a1", "a1", "a1"}, false},
		"one in between answers":                     {[]string{"a1", "a2", "b3", "ok", "b4"}, false},
		"one answers afterwards":                     {[]string{"a1", "a2", "b3", "b4", "ok"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := events(&outage{}, tt.happens...); got != tt.want {
					t.Errorf("diverted: %v", got)
				}
			})
		})
	}
}

func TestWhoSentYesterdayCountsAsAnotherOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{}
		o.sending("b")
		pass(23 * time.Hour)
		if events(o, sites("a", 10)...) {
			t.Error("one of two operators was enough")
		}
		pass(time.Hour)
		if !events(o, "a0") {
			t.Error("it is alone now")
		}
	})
}

func TestSiteThatWasSilentWhileAnotherAnsweredProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{}
		began := time.Now()
		pass(time.Second)
		o.answered()
		pass(30 * time.Second)
		for _, e := range []string{"a1", "a2", "b3", "b4"} {
			o.failed(e[:1], e[1:], began)
		}
		if diverts, _ := o.diverts("z", false); diverts {
			t.Error("the port was open meanwhile")
		}
	})
}

func TestOutageEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{}
		if !events(o, "a1", "a2", "b3", "b4") {
			t.Fatal("no outage")
		}
		pass(outageTime)
		if diverts, probe := o.diverts("a", false); diverts || probe {
			t.Error("it does not end")
		}
	})
}

func TestOutageIsProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{}
		if !events(o, "a1", "a2", "b3", "b4") { // b's mail was the last
			t.Fatal("no outage")
		}
		probes := func(operator string, urgent bool) bool {
			diverts, probe := o.diverts(operator, urgent)
			if diverts == probe {
				t.Errorf("diverted and probe: %v", probe)
			}
			return probe
		}
		if probes("a", false) {
			t.Error("probed at once")
		}
		pass(outageProbe)
		if probes("a", true) {
			t.Error("an alarm has to probe")
		}
		if probes("b", false) {
			t.Error("the same operator probes again before others could")
		}
		if !probes("a", false) || probes("a", false) || probes("b", false) {
			t.Error("not one probe")
		}
		pass(outageProbe)
		if probes("a", false) {
			t.Error("a again, before others could")
		}
		pass(outageAgain - outageProbe)
		if !probes("a", false) {
			t.Error("a, which is alone, does not probe")
		}
		o.answered()
		if diverts, probe := o.diverts("b", true); diverts || probe {
			t.Error("it goes on although a probe has worked")
		}
	})
}

func TestOnlySilenceLooksLikeAClosedPort(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, timeout := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:25")
	dial := func(err syscall.Errno) error { return &net.OpError{Op: "dial", Err: err} }
	type try struct {
		err  error
		addr netip.Addr
	}
	for name, tt := range map[string]struct {
		tries []try
		want  bool
	}{
		"time-out":                     {[]try{{timeout, v4}}, true},
		"time-out over IPv6":           {[]try{{timeout, v6}}, true},
		"no answer to the SYN":         {[]try{{dial(syscall.ETIMEDOUT), v4}}, true},
		"host unreachable":             {[]try{{dial(syscall.EHOSTUNREACH), v4}}, true},
		"network unreachable":          {[]try{{dial(syscall.ENETUNREACH), v4}}, true},
		"refused":                      {[]try{{dial(syscall.ECONNREFUSED), v4}}, false},
		"one of two refused":           {[]try{{timeout, v4}, {dial(syscall.ECONNREFUSED), v4}}, false},
		"no IPv6 here":                 {[]try{{dial(syscall.ENETUNREACH), v6}}, false},
		"no IPv6 here, IPv4 refused":   {[]try{{dial(syscall.ENETUNREACH), v6}, {dial(syscall.ECONNREFUSED), v4}}, false},
		"no IPv6 here, IPv4 timed out": {[]try{{dial(syscall.ENETUNREACH), v6}, {timeout, v4}}, true},
		"refused by the guard":         {[]try{{&guard.Refused{Addr: v4, Why: guard.Private}, v4}}, false},
		"not enough sockets":           {[]try{{dial(syscall.EMFILE), v4}}, false},
		"nothing was tried":            {nil, false},
	} {
		var seen reached
		for _, e := range tt.tries {
			seen.note(inputOf(waypost.PhaseConnect, &smtpc.Error{Phase: waypost.PhaseConnect, Err: e.err}), e.addr)
		}
		if seen.nothing() != tt.want {
			t.Errorf("%s: %+v", name, seen)
		}
	}
	var seen reached
	seen.note(classify.Input{Phase: waypost.PhaseConnect, Err: timeout}, v4)
	seen.note(classify.Input{Phase: waypost.PhaseGreet, Err: io.EOF}, v4)
	if seen.nothing() {
		t.Error("a host was connected to")
	}
}
