package classify

import (
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// Failure is how a test mail failed, and what it was tried with.
type Failure struct {
	Phase  waypost.Phase
	Reply  waypost.Reply     // Code 0: the server said nothing, and Text is ours (package deliver, words.go)
	Cause  Cause             // what Rules.Classify said
	Route  waypost.RouteKind // relay: the operator's own server; any other: the built-in gateway
	Server Server            // the own server; not looked at for other routes
}

// Server is what advice needs to know of the settings of an own SMTP server. It has no
// password.
type Server struct {
	Host     string
	Port     int
	Security waypost.Security
	TrustAll bool
	Login    bool // a user name is set
}

// Advice is what to do about a failure. Code is stable and what translations go by.
type Advice struct {
	Code  string
	Text  string // English, one or two sentences: what happened, what to do
	Field string // the setting it is about: "gateway.port", "from", "to" ...; "" for none
}

// FailureOf returns the failure that an attempt over relay ended with; relay is nil for
// the built-in gateway.
func FailureOf(a *waypost.Attempt, relay *waypost.Relay) Failure {
	f := Failure{Phase: a.Phase, Reply: a.Reply, Cause: Cause(a.Cause), Route: a.Route}
	if relay != nil {
		f.Server = Server{
			Host: relay.Host, Port: relay.Port, Security: relay.Security, TrustAll: relay.TrustAll, Login: relay.Username != "",
		}
	}
	return f
}

// Advise returns what to do about a failed test mail. There is always something: the
// first row that matches says what, or else the phase.
func Advise(f Failure) Advice {
	code := adviceCode(f)
	for _, a := range Advices() {
		if a.Code == code {
			return a
		}
	}
	return Advice{Code: code} // no test lets this happen
}

// adviceRule is one row: all conditions that are set must hold.
type adviceRule struct {
	advice string            // the code
	phases []waypost.Phase   // any of them; none: in every phase
	class  int               // first digit of the reply code; 0: any
	codes  []int             // any of the reply codes
	status []string          // any of the enhanced codes, as in rule.status
	text   []string          // any of them is in the text, which is in lower case here
	causes []Cause           // any of them
	hosts  []string          // the own server's name is one of these or below
	when   func(Server) bool // about the settings of the own server
}

func adviceCode(f Failure) string {
	own, answered := f.Route == waypost.RouteRelay, f.Reply.Code != 0
	table := builtinSilence
	switch {
	case own && answered:
		table = relayReplies
	case own:
		table = relaySilence
	case answered:
		table = builtinReplies
	}
	// Servers break their lines anywhere, within the words of a row too.
	text, host := strings.Join(strings.Fields(strings.ToLower(f.Reply.Text)), " "), strings.ToLower(f.Server.Host)
	for _, r := range table() {
		if r.matches(f, text, host) {
			return r.advice
		}
	}
	if own {
		return relayPhase(f.Phase)
	}
	return builtinPhase(f.Phase)
}

func (r adviceRule) matches(f Failure, text, host string) bool {
	return oneOf(r.phases, f.Phase) && oneOf(r.codes, f.Reply.Code) && oneOf(r.causes, f.Cause) &&
		(r.class == 0 || r.class == f.Reply.Code/100) &&
		someOf(r.status, func(s string) bool { return statusMatches(s, f.Reply.Enhanced) }) &&
		someOf(r.text, func(s string) bool { return strings.Contains(text, s) }) &&
		someOf(r.hosts, func(s string) bool { return host == s || strings.HasSuffix(host, "."+s) }) &&
		(r.when == nil || r.when(f.Server))
}

// oneOf reports whether v is listed, or nothing is.
func oneOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

// someOf reports whether ok holds for some of the list, or there is none.
func someOf(list []string, ok func(string) bool) bool {
	return len(list) == 0 || slices.ContainsFunc(list, ok)
}

// relayPhase is the advice for an own server where no row says more.
func relayPhase(p waypost.Phase) string {
	switch p {
	case waypost.PhaseRoute:
		return "not_sent"
	case waypost.PhaseDNS:
		return "dns_failed"
	case waypost.PhaseConnect:
		return "connect_failed"
	case waypost.PhaseGreet:
		return "greeting_refused"
	case waypost.PhaseHello:
		return "hello_refused"
	case waypost.PhaseTLS:
		return "tls_failed"
	case waypost.PhaseAuth:
		return "auth_rejected"
	case waypost.PhaseMail:
		return "sender_refused"
	case waypost.PhaseRcpt:
		return "recipient_refused"
	case waypost.PhaseData, waypost.PhaseDot:
		return "message_refused"
	}
	return "unknown"
}

// builtinPhase is relayPhase for the built-in gateway, where the other server is the
// recipient's.
func builtinPhase(p waypost.Phase) string {
	switch p {
	case waypost.PhaseRoute:
		return "not_sent"
	case waypost.PhaseDNS:
		return "recipient_dns"
	case waypost.PhaseConnect, waypost.PhaseGreet, waypost.PhaseHello, waypost.PhaseTLS:
		return "recipient_server"
	case waypost.PhaseAuth:
		return "platform_relay"
	case waypost.PhaseRcpt:
		return "recipient_refused"
	case waypost.PhaseMail, waypost.PhaseData, waypost.PhaseDot:
		return "message_refused"
	}
	return "unknown"
}

// Conditions on the settings.

func noLogin(s Server) bool { return !s.Login }

func noTLS(s Server) bool { return s.Security == waypost.SecurityNone }

func onPort25(s Server) bool { return s.Port == 25 }

func withTLS(s Server) bool { return s.Security == waypost.SecurityTLS }

// plainOn465 is a client that waits for a greeting where the server waits for TLS.
func plainOn465(s Server) bool { return s.Security != waypost.SecurityTLS && s.Port == 465 }

// tlsElsewhere is TLS from the start on a port where hardly a server has it.
func tlsElsewhere(s Server) bool { return s.Security == waypost.SecurityTLS && s.Port != 465 }
