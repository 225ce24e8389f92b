package route_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

func platform() route.Platform {
	return route.Platform{Domain: "platform.test", From: waypost.Address{Name: "Platform", Email: "no-reply@platform.test"}}
}

func TestPick(t *testing.T) {
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	own, upstream := &waypost.Relay{Host: "mail.op.test", Port: 587}, &waypost.Relay{Host: "up.test", Port: 25}
	with := func(p route.Platform, mode route.UpstreamMode) route.Platform {
		p.Upstream, p.UpstreamMode = upstream, mode
		return p
	}
	account := func(g waypost.GatewayType, change ...func(*waypost.Account)) *waypost.Account {
		a := &waypost.Account{Operator: waypost.Operator{ID: "op", Gateway: g}, Relay: own}
		for _, f := range change {
			f(a)
		}
		return a
	}
	suspended := func(a *waypost.Account) { a.Suspended = true }
	noRelay := func(a *waypost.Account) { a.Relay = nil }
	failing := func(probe time.Duration) func(*waypost.Account) {
		return func(a *waypost.Account) {
			a.RelayHealth = waypost.RelayHealth{FailingSince: now.Add(-time.Hour), Reason: "535 no", NextProbe: now.Add(probe)}
		}
	}
	tests := map[string]struct {
		platform route.Platform
		account  *waypost.Account
		mail     route.Mail
		want     route.Decision // without Why
		why      string         // part of it
	}{
		"built-in goes direct": {
			platform(), account(waypost.GatewayBuiltin),
			route.Mail{},
			route.Decision{Route: waypost.RouteDirect},
			"built-in",
		},
		"a gateway the product no longer includes": {
			platform(), account(waypost.GatewayBuiltin, func(a *waypost.Account) { a.Withdrawn = true }),
			route.Mail{},
			route.Decision{},
			"no longer includes",
		},
		"built-in without a platform domain is a sandbox": {
			route.Platform{},
			account(waypost.GatewayBuiltin),
			route.Mail{},
			route.Decision{Route: waypost.RouteSandbox},
			"no platform domain",
		},
		"upstream instead": {
			with(platform(), route.UpstreamInstead), account(waypost.GatewayBuiltin),
			route.Mail{},
			route.Decision{Route: waypost.RouteUpstream, Relay: upstream},
			"upstream",
		},
		"upstream as fallback is tried behind direct": {
			with(platform(), route.UpstreamFallback), account(waypost.GatewayBuiltin),
			route.Mail{},
			route.Decision{Route: waypost.RouteDirect},
			"built-in",
		},
		"upstream that is off": {
			with(platform(), route.UpstreamOff), account(waypost.GatewayBuiltin),
			route.Mail{},
			route.Decision{Route: waypost.RouteDirect},
			"built-in",
		},
		"upstream instead without settings": {
			route.Platform{Domain: "platform.test", UpstreamMode: route.UpstreamInstead},
			account(waypost.GatewayBuiltin),
			route.Mail{},
			route.Decision{Route: waypost.RouteDirect},
			"built-in",
		},
		"no upstream leads out of the sandbox": {
			with(route.Platform{}, route.UpstreamInstead), account(waypost.GatewayBuiltin),
			route.Mail{},
			route.Decision{Route: waypost.RouteSandbox},
			"no platform domain",
		},
		"own server": {
			platform(), account(waypost.GatewaySMTP),
			route.Mail{},
			route.Decision{Route: waypost.RouteRelay, Relay: own},
			"SMTP server",
		},
		"own server needs no platform domain": {
			route.Platform{},
			account(waypost.GatewaySMTP),
			route.Mail{},
			route.Decision{Route: waypost.RouteRelay, Relay: own},
			"SMTP server",
		},
		"own server never goes upstream": {
			with(platform(), route.UpstreamInstead), account(waypost.GatewaySMTP),
			route.Mail{},
			route.Decision{Route: waypost.RouteRelay, Relay: own},
			"SMTP server",
		},
		"own server without settings": {
			platform(), account(waypost.GatewaySMTP, noRelay), route.Mail{}, route.Decision{}, "no settings",
		},
		"failing relay waits for its probe, with the reason": {
			platform(), account(waypost.GatewaySMTP, failing(time.Minute)),
			route.Mail{},
			route.Decision{Until: now.Add(time.Minute)},
			"mail.op.test is failing: 535 no",
		},
		"failing relay is probed when it is time": {
			platform(), account(waypost.GatewaySMTP, failing(0)),
			route.Mail{},
			route.Decision{Route: waypost.RouteRelay, Relay: own, Probe: true},
			"mail.op.test",
		},
		"a failing relay does not stop the built-in gateway": {
			platform(), account(waypost.GatewayBuiltin, failing(time.Minute)),
			route.Mail{},
			route.Decision{Route: waypost.RouteDirect},
			"built-in",
		},
		"no gateway": {
			platform(), account(""), route.Mail{Kind: waypost.KindSecurity}, route.Decision{}, "no gateway",
		},
		"test key goes to the sandbox, whatever is bound": {
			platform(), account(waypost.GatewaySMTP),
			route.Mail{Test: true},
			route.Decision{Route: waypost.RouteSandbox},
			"test key",
		},
		"test key needs no gateway": {
			platform(), account(""), route.Mail{Test: true}, route.Decision{Route: waypost.RouteSandbox}, "test key",
		},
		"suspended": {
			platform(), account(waypost.GatewayBuiltin, suspended), route.Mail{Kind: waypost.KindEvent}, route.Decision{}, "suspended",
		},
		"suspended, test key": {
			platform(), account(waypost.GatewayBuiltin, suspended), route.Mail{Test: true}, route.Decision{}, "suspended",
		},
		"security mail of a suspended operator still goes": {
			platform(), account(waypost.GatewayBuiltin, suspended),
			route.Mail{Kind: waypost.KindSecurity},
			route.Decision{Route: waypost.RouteDirect},
			"built-in",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := route.Pick(tt.platform, tt.account, tt.mail, now)
			if !strings.Contains(got.Why, tt.why) {
				t.Errorf("why = %q, want something about %q", got.Why, tt.why)
			}
			if (got.Wait == "") != (got.Route != "") {
				t.Errorf("route %q, waits for %q", got.Route, got.Wait)
			}
			got.Why, got.Wait = "", ""
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if (got.Relay != nil) != (got.Route == waypost.RouteRelay || got.Route == waypost.RouteUpstream) {
				t.Errorf("route %q with relay %v", got.Route, got.Relay)
			}
		})
	}
}

func sender(addr, name string, state waypost.SenderState) waypost.Sender {
	return waypost.Sender{Address: addr, Name: name, State: state}
}

func asDefault(s waypost.Sender) waypost.Sender {
	s.Default = true
	return s
}

func TestFrom(t *testing.T) {
	const (
		assigned  = waypost.SenderAssigned
		requested = waypost.SenderRequested
		rejected  = waypost.SenderRejected
	)
	now := time.Now()
	yes := []waypost.Domain{{Name: "op.test", Proven: now, Authorized: now}}
	no := []waypost.Domain{{Name: "op.test", Proven: now}, {Name: "other.test", Proven: now, Authorized: now}}
	submitted := waypost.Address{Name: "Alarm", Email: "alarm@op.test"}
	standIn := func(name string) waypost.Address { return waypost.Address{Name: name, Email: "no-reply@platform.test"} }
	tests := map[string]struct {
		kind     waypost.RouteKind
		senders  []waypost.Sender
		domains  []waypost.Domain
		want     waypost.Address
		replaced bool
		why      string
	}{
		"built-in, own, assigned, authorized": {
			waypost.RouteDirect, []waypost.Sender{sender("alarm@op.test", "", assigned)}, yes, submitted, false, "",
		},
		"built-in, the domain lost its authorization": {
			waypost.RouteDirect, []waypost.Sender{sender("alarm@op.test", "", assigned)}, no, standIn("Op"), true, "not authorized",
		},
		"built-in, the domain is nobody's": {
			waypost.RouteDirect, []waypost.Sender{sender("alarm@op.test", "", assigned)}, nil, standIn("Op"), true, "not authorized",
		},
		"built-in, requested": {
			waypost.RouteDirect, []waypost.Sender{sender("alarm@op.test", "Alarms", requested)}, yes, standIn("Alarms"), true, "requested",
		},
		"built-in, rejected": {
			waypost.RouteDirect, []waypost.Sender{sender("alarm@op.test", "", rejected)}, yes, standIn("Op"), true, "rejected",
		},
		"built-in, foreign": {
			waypost.RouteDirect, nil, yes, standIn("Op"), true, "not a sender",
		},
		"built-in, foreign, with the name of the default sender": {
			waypost.RouteDirect, []waypost.Sender{asDefault(sender("info@op.test", "Op Fleet", assigned))}, yes, standIn("Op Fleet"), true, "not a sender",
		},
		"built-in, wildcard": {
			waypost.RouteDirect, []waypost.Sender{sender("*@op.test", "", assigned)}, yes, submitted, false, "",
		},
		"built-in, wildcard of a domain above": {
			waypost.RouteDirect, []waypost.Sender{sender("*@test", "", assigned)}, yes, standIn("Op"), true, "not a sender",
		},
		"an exact sender decides before a wildcard": {
			waypost.RouteDirect, []waypost.Sender{sender("*@op.test", "", assigned), sender("alarm@op.test", "", rejected)}, yes, standIn("Op"), true, "rejected",
		},
		"upstream is as strict as direct": {
			waypost.RouteUpstream, []waypost.Sender{sender("alarm@op.test", "", requested)}, yes, standIn("Op"), true, "requested",
		},
		"own server, own sender in any state": {
			waypost.RouteRelay, []waypost.Sender{sender("alarm@op.test", "", rejected)}, no, submitted, false, "",
		},
		"own server, case does not matter": {
			waypost.RouteRelay, []waypost.Sender{sender("ALARM@OP.test", "", requested)}, nil, submitted, false, "",
		},
		"own server, foreign": {
			waypost.RouteRelay,
			[]waypost.Sender{asDefault(sender("info@op.test", "", requested))},
			nil,
			waypost.Address{Name: "Op", Email: "info@op.test"},
			true, "not a sender",
		},
		"own server, foreign, the default has a name": {
			waypost.RouteRelay,
			[]waypost.Sender{asDefault(sender("info@op.test", "Info", requested))},
			nil,
			waypost.Address{Name: "Info", Email: "info@op.test"},
			true, "not a sender",
		},
		"own server, no senders at all": {
			waypost.RouteRelay, nil, nil, submitted, false, "",
		},
		"own server, a wildcard is nobody's default": {
			waypost.RouteRelay, []waypost.Sender{asDefault(sender("*@other.test", "", requested))}, nil, submitted, false, "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := &waypost.Account{Operator: waypost.Operator{ID: "op", Name: "Op"}, Senders: tt.senders, Domains: tt.domains}
			got := route.From(platform(), a, tt.kind, submitted)
			if diff := cmp.Diff(tt.want, got.Address); diff != "" || got.Replaced != tt.replaced {
				t.Errorf("replaced: %v, %s", got.Replaced, diff)
			}
			if !strings.Contains(got.Why, tt.why) || (tt.why == "" && got.Why != "") {
				t.Errorf("why = %q, want something about %q", got.Why, tt.why)
			}
		})
	}
}

func TestMailOfADomainWithAReturnPathReturnsThere(t *testing.T) {
	now := time.Now()
	a := &waypost.Account{
		Senders: []waypost.Sender{sender("alarm@op.test", "", waypost.SenderAssigned)},
		Domains: []waypost.Domain{{Name: "op.test", Proven: now, Authorized: now, ReturnPath: true}},
	}
	for addr, want := range map[string]string{"alarm@op.test": "bounce.op.test", "info@op.test": ""} {
		if got := route.From(platform(), a, waypost.RouteDirect, waypost.Address{Email: addr}); got.ReturnDomain != want {
			t.Errorf("%s: %+v", addr, got)
		}
	}
	a.Domains[0].Authorized = time.Time{}
	if got := route.From(platform(), a, waypost.RouteDirect, waypost.Address{Email: "alarm@op.test"}); got.ReturnDomain != "" {
		t.Errorf("of a domain that is not authorized: %+v", got)
	}
}

func TestFromOfThePlatformIsItsDefaultAddress(t *testing.T) {
	a := &waypost.Account{Operator: waypost.Operator{ID: waypost.PlatformOperatorID}}
	got := route.From(platform(), a, waypost.RouteDirect, waypost.Address{Email: "root@localhost.test"})
	if got.Address != platform().From || !got.Replaced {
		t.Errorf("got %+v", got)
	}
	if got := route.From(platform(), a, waypost.RouteDirect, platform().From); got.Replaced {
		t.Errorf("its own address is replaced: %+v", got)
	}
}

func TestFromInTheSandboxStaysAndTellsWhatWouldHappen(t *testing.T) {
	a := &waypost.Account{Operator: waypost.Operator{ID: "op"}}
	submitted := waypost.Address{Email: "a@op.test"}
	got := route.From(route.Platform{}, a, waypost.RouteSandbox, submitted)
	if got.Address != submitted || got.Replaced || got.Why == "" {
		t.Errorf("got %+v", got)
	}
}

func TestAddressesOfThePlatformDoNotReachAnOperatorsServer(t *testing.T) {
	own, taken := asDefault(sender("info@op.test", "", "")), asDefault(sender("acme@Platform.test", "", waypost.SenderAssigned))
	for name, c := range map[string]struct {
		submitted string
		senders   []waypost.Sender
		want      string // "" for none
	}{
		"the platform's own":            {"no-reply@platform.test", []waypost.Sender{own}, "info@op.test"},
		"below its domain":              {"x@Fleet.PLATFORM.test.", []waypost.Sender{own}, "info@op.test"},
		"no default sender":             {"no-reply@platform.test", nil, ""},
		"an assigned one there":         {"acme@platform.test", []waypost.Sender{taken}, ""},
		"the default sender is there":   {"stranger@elsewhere.test", []waypost.Sender{taken}, "stranger@elsewhere.test"},
		"a domain that only looks like": {"x@notplatform.test", nil, "x@notplatform.test"},
	} {
		a := &waypost.Account{Operator: waypost.Operator{ID: "op", Name: "Op"}, Senders: c.senders}
		got := route.From(platform(), a, waypost.RouteRelay, waypost.Address{Email: c.submitted})
		if got.Address.Email != c.want || (c.want == "") != (got.Why != "" && !got.Replaced) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// On the built-in gateway the owner may assign one.
	a := &waypost.Account{Operator: waypost.Operator{ID: "op"}, Senders: []waypost.Sender{taken}}
	got := route.From(platform(), a, waypost.RouteDirect, waypost.Address{Email: taken.Address})
	if got.Replaced {
		t.Errorf("%+v", got)
	}
	if (route.Platform{}).Owns("a@example.test") {
		t.Error("without a domain the platform owns something")
	}
}

func TestEnvelopeFrom(t *testing.T) {
	from := waypost.Address{Email: "alarm@op.test"}
	tests := map[string]struct {
		senders []waypost.Sender
		want    string
	}{
		"the default sender":                   {[]waypost.Sender{sender("alarm@op.test", "", ""), asDefault(sender("info@op.test", "", ""))}, "info@op.test"},
		"the From in use without a default":    {[]waypost.Sender{sender("info@op.test", "", "")}, "alarm@op.test"},
		"no senders":                           {nil, "alarm@op.test"},
		"the platform's is not the operator's": {[]waypost.Sender{asDefault(sender("acme@platform.test", "", ""))}, "alarm@op.test"},
		"a wildcard is no mailbox to read in":  {[]waypost.Sender{asDefault(sender("*@op.test", "", ""))}, "alarm@op.test"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := route.EnvelopeFrom(platform(), &waypost.Account{Senders: tt.senders}, from); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
