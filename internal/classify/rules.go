package classify

import (
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// rule is one row: all conditions that are set must hold, the first row that
// matches names the cause.
type rule struct {
	name   string
	code   int           // reply code, 0: any
	status string        // enhanced code: "5.7.1"; "*.2.2" of class 4 or 5; "*.6." any that begins so
	phase  waypost.Phase // "": any
	text   []string      // any of them is in the text, which is in lower case here
	cause  Cause
	us     bool // from a relay: about our login, permission or quota there
	notNow bool // temporary when said to RCPT, even as a 5yz
}

// lookUp returns the first row that matches, or one made of the phase alone.
func lookUp(in Input) rule {
	text := strings.ToLower(in.Reply.Text)
	for _, table := range []func() []rule{rulesByWords, rulesByCode} {
		for _, r := range table() {
			if r.matches(in, text) {
				return r
			}
		}
	}
	switch in.Phase {
	case waypost.PhaseDNS:
		return rule{name: "phase dns", cause: BadDomain}
	case waypost.PhaseTLS:
		return rule{name: "phase tls", cause: TLS}
	case waypost.PhaseAuth:
		return rule{name: "phase auth", cause: Auth, us: true}
	}
	return rule{name: "no rule", cause: Unknown}
}

func (r rule) matches(in Input, text string) bool {
	if (r.code != 0 && r.code != in.Reply.Code) || (r.phase != "" && r.phase != in.Phase) {
		return false
	}
	if r.status != "" && !statusMatches(r.status, in.Reply.Enhanced) {
		return false
	}
	if len(r.text) == 0 {
		return true
	}
	for _, t := range r.text {
		if strings.Contains(text, t) {
			return true
		}
	}
	return false
}

// statusMatches compares an enhanced code with a pattern as in rule.status.
func statusMatches(pattern, status string) bool {
	if status == "" {
		return false
	}
	if pattern[0] == '*' {
		pattern, status = pattern[1:], status[1:]
	}
	if strings.HasSuffix(pattern, ".") {
		return strings.HasPrefix(status, pattern)
	}
	return pattern == status
}

// rulesByWords is the first table. Words go before codes, because a server that
// bothers to explain itself is right more often than its codes are: the big ones
// use 5.7.1, 5.7.0 and 550 for everything. Rows about us come first, so that a
// relay's "your account is disabled" never counts against a recipient.
func rulesByWords() []rule {
	return []rule{
		{name: "too many recipients", text: []string{
			"too many recipients", "too many rcpt", "maximum number of recipients", "recipients limit",
		}, cause: Rate, notNow: true},
		{name: "mail authentication", text: []string{
			"dmarc", "spf check", "spf fail", "spf record", "spf (sender", "spf [", "dkim", "unauthenticated mail", "unauthenticated email",
			"sender is unauthenticated", "sender policy framework", "not accepted for policy reasons",
		}, cause: Policy},

		// Our login, permission and quota at a relay.
		{name: "sending quota", text: []string{
			"daily limit", "daily user sending", "daily sending", "daily smtp relay", "daily message quota", "sending limit", "sending quota",
			"submission quota", "submissionquota", "hourly limit", "monthly limit", "credits exceeded", "quota exceeded for sender", "sender quota",
			"emails per hour", "failures per hour", "messages per hour", "outgoing mail limit", "outgoing messages limit", "relay quota",
			"tenant has exceeded", "limit for this user", "limit on the number of messages you", "exceeded your",
		}, cause: Quota, us: true},
		{name: "sending rate", text: []string{"maximum sending rate", "throttling failure", "submission rate"}, cause: Rate, us: true},
		{name: "sender not ours", text: []string{
			"not owned by", "send as this sender", "not authorized to send from", "not allowed to send from", "not permitted to send from",
			"not authorized to send as", "not allowed to send as", "not allowed to use this sender", "sender address is not allowed",
			"sender is not allowed", "address is not verified", "does not match a verified sender", "verified sender identity",
			"sender not verified", "unverified sender", "domain is not verified", "unregistered domain", "must match authenticated",
			"not match authenticated", "not match the authenticated", "from address must match", "not local sender", "relaying disallowed as",
			"sender address does not belong", "sendasdenied", "send as denied", "domain not allowed to send", "is not allowed to send", "not authorized to use the sender",
			"from header does not match", "bad outbound sender", "envelope sender mismatch", "access denied, bad outbound",
		}, cause: SenderRefused, us: true},
		{name: "login", text: []string{
			"authentication required", "authentication is required", "auth required", "must authenticate", "smtp auth", "please authenticate",
			"not authenticated", "authenticate first", "authenticate before", "authentication unsuccessful", "authentication failed",
			"authentication failure", "authentication credentials invalid", "username and password not accepted", "incorrect username",
			"invalid login", "login denied", "bad credentials", "application-specific password", "log in via your web browser",
			"basic authentication is disabled", "clientauthentication is disabled", "not logged in", "please log in", "your account", "your smtp account",
			"need to authenticate", "unauthenticated sender", "invalid credentials", "is not authorized to perform", "login attempts", "user not authorized to send", "authorization failed", "pop before smtp", "check for new mail first",
		}, cause: Auth, us: true},
		{name: "relay denied", text: []string{
			"relay access denied", "relaying denied", "relay not permitted", "relaying not allowed", "relay denied", "unable to relay",
			"permitted to relay", "allowed to relay", "relaying prohibited", "we do not relay", "don't relay", "relay not allowed",
			"relaying is not allowed", "relaying is prohibited", "no relaying", "authorized to relay", "relay refused",
			"not a relay", "rcpthosts", "relaying to", "relay not accepted",
		}, cause: RelayDenied, us: true},
		{name: "client blocked", text: []string{
			"client host", "your ip", "blocked using", "banned sending ip", "ip address has been blocked", "accepted from ip", "traffic not accepted",
			"on our block list", "[bl2", "connection refused from", "client was not", "helo command rejected", "bad helo",
		}, cause: Reputation, us: true},
		{name: "sender refused", text: []string{
			"sender address rejected", "sender rejected", "sender verify failed", "sender verification", "sender address verification", "invalid sender",
			"sender denied", "bad sender", "unknown sender", "domain of sender", "sender domain", "sender's domain", "bad return path", "return path",
			"unrouteable sender", "mail from domain", "from address is not", "not authorized to send", "sender not authorized",
		}, cause: SenderRefused, us: true},
		{name: "encryption wanted", text: []string{
			"must issue a starttls", "starttls is required", "starttls required", "starttls first", "tls required", "tls is required",
			"encryption required", "requires tls",
		}, cause: TLS, us: true},

		// Reasons that are often dressed as "mailbox unavailable".
		{name: "policy restrictions", text: []string{"policy restrictions", "blocked by policy", "local policy", "administrative prohibition"}, cause: Policy},
		{name: "block list", text: []string{
			"spamhaus", "spamcop", "barracuda", "sorbs", "dnsbl", " rbl", "uceprotect", "proofpoint", "cloudmark", "senderscore", "block list",
			"blocklist", "blacklist", "black list", "listed in", "listed at", "listed by", "reputation", "[ts0", "unsolicited mail originating",
			"unsolicited email originating", "ptr record", "reverse dns", "rdns", "fcrdns", "resolve your hostname", "cannot find your hostname",
			"dynamic ip", "residential", "sender ip", "user complaints",
		}, cause: Reputation},
		{name: "greylisted", text: []string{
			"greylist", "graylist", "grey-list", "gray-list", "grey list", "gray list",
		}, cause: Greylist},
		{name: "mail loop", text: []string{
			"mail loop", "too many hops", "too many received", "routing loop", "loop detected", "hop count exceeded",
		}, cause: Policy},

		// The recipient.
		{name: "mailbox full", text: []string{
			"mailbox full", "mailbox is full", "inbox is full", "inbox full", "over quota", "overquota", "quota exceeded", "exceeded quota",
			"exceeded its quota", "out of storage", "storage quota", "storage allocation", "exceeds quota", "mailbox exceeded", "insufficient mailbox",
			"not enough space in mailbox", "quota full", "mailbox size limit", "quotaexceeded", "mailbox has exceeded", "disk quota", "out of quota",
			"recipient storage full", "quota limit",
		}, cause: MailboxFull},
		{name: "recipient rate", text: []string{"receiving mail too quickly", "receiving mail at a rate", "receive mail at a rate"}, cause: Rate},
		{name: "domain", text: []string{
			"domain not found", "domain does not exist", "domain doesn't exist", "host unknown", "unknown domain", "host not found", "no such domain",
			"domain does not accept", "domain not hosted", "domain is not hosted", "null mx", "name service error", "not a local domain",
			"not hosted here", "domain has no", "domain is not configured", "does not accept mail",
		}, cause: BadDomain},
		{name: "no such user", text: []string{
			"user unknown", "unknown user", "no such user", "no such mailbox", "no such recipient", "no such address", "no such person",
			"no such local user", "does not exist", "doesn't exist", "doesn't have a", "not exist", "unknown recipient", "recipient unknown",
			"unknown local", "user not found", "recipient not found", "recipientnotfound", "mailbox not found", "address not found",
			"invalid recipient", "invalid mailbox", "invalid address", "undeliverable address", "unrouteable address", "unroutable address",
			"no mailbox", "mailbox unavailable", "mailbox is unavailable", "mailbox disabled", "mailbox is disabled", "mailbox is inactive",
			"account is disabled", "account disabled", "account has been disabled", "account that you tried to reach is", "account is inactive",
			"inactive recipient", "inactive user", "inactive mailbox", "user is inactive", "user disabled", "user is disabled", "account has been closed",
			"account closed", "no longer available", "not a valid mailbox", "not a known user", "not our customer", "addressee unknown",
			"unknown address", "no account by that name", "user doesn't", "user is terminated", "recipient address rejected: undeliverable",
		}, cause: BadMailbox},
		{name: "Exchange Online, unknown recipient", status: "5.4.1", text: []string{"recipient address rejected"}, cause: BadMailbox},

		// The moment and the message. A relay that is in a hurry speaks of our pace.
		{name: "rate", text: []string{
			"rate limit", "ratelimit", "rate-limit", "rate limited", "throttl", "too many connections", "too many concurrent", "too many messages",
			"too many mails", "too many emails", "too many errors", "too many sessions", "too much mail", "unusual rate", "unusual sending activity",
			"too fast", "connection limit", "connections from your host", "exceeded the maximum number of", "exceeded the rate", "limit exceeded",
			"slow down", "unexpected volume", "too frequent", "frequency limit",
		}, cause: Rate, us: true},
		{name: "content", text: []string{
			"spam", "virus", "malware", "phish", "trojan", "infected", "suspicious", "illegal attachment", "banned attachment",
			"potential security issue", "blocked for security", "attachment type", "banned file", "content reject", "message content",
			"due to content", "unsolicited", "bulk mail", "contains a url", "url in this", "forbidden attachment", "prohibited attachment",
			"high-probability", "unacceptable content",
		}, cause: Content},
		{name: "too big", text: []string{
			"too large", "too big", "size exceeds", "size limit", "exceeds size", "exceeds maximum size", "exceeds fixed maximum", "message exceeds",
			"maximum message size", "our message size", "larger than",
		}, cause: TooBig},
	}
}

// rulesByCode is the second table.
func rulesByCode() []rule {
	return []rule{
		// Logins and relays (RFC 4954 section 6; 5.7.5x and above are Exchange's).
		{name: "530", code: 530, cause: Auth, us: true},
		{name: "534", code: 534, cause: Auth, us: true},
		{name: "535", code: 535, cause: Auth, us: true},
		{name: "538", code: 538, cause: TLS, us: true},
		{name: "5.4.5 quota", status: "*.4.5", cause: Quota, us: true},
		{name: "5.1.90 quota", status: "5.1.90", cause: Quota, us: true},
		{name: "5.7.705 quota", status: "5.7.705", cause: Quota, us: true},
		{name: "5.7.3 login", status: "*.7.3", cause: Auth, us: true},
		{name: "5.7.8 login", status: "*.7.8", cause: Auth, us: true},
		{name: "5.7.9 login", status: "*.7.9", cause: Auth, us: true},
		{name: "5.7.11 login", status: "*.7.11", cause: TLS, us: true},
		{name: "5.7.14 login", status: "*.7.14", cause: Auth, us: true},
		{name: "5.7.57 login", status: "5.7.57", cause: Auth, us: true},
		{name: "5.7.139 login", status: "5.7.139", cause: Auth, us: true},
		{name: "5.7.54 relay", status: "5.7.54", cause: RelayDenied, us: true},
		{name: "5.7.64 relay", status: "5.7.64", cause: RelayDenied, us: true},
		{name: "5.7.68 relay", status: "5.7.68", cause: RelayDenied, us: true},
		{name: "5.7.60 sender", status: "5.7.60", cause: SenderRefused, us: true},
		{name: "5.7.750 sender", status: "5.7.750", cause: SenderRefused, us: true},
		{name: "5.1.7 sender", status: "*.1.7", cause: SenderRefused, us: true},
		{name: "5.1.8 sender", status: "*.1.8", cause: SenderRefused, us: true},
		{name: "5.7.708 reputation", status: "5.7.708", cause: Reputation, us: true},
		{name: "552 5.7.0 attachment", code: 552, status: "5.7.0", cause: Content},
		{name: "5.7.0 permission", status: "5.7.0", cause: Policy, us: true},

		// The other enhanced codes (RFC 3463, 7372, 7505).
		{name: "5.1.2 domain", status: "*.1.2", cause: BadDomain},
		{name: "5.1.10 null MX", status: "*.1.10", cause: BadDomain},
		{name: "5.1.x mailbox", status: "*.1.", cause: BadMailbox},
		{name: "5.2.1 disabled", status: "5.2.1", cause: BadMailbox},
		{name: "4.2.1 busy", status: "4.2.1", cause: Rate},
		{name: "5.2.2 full", status: "*.2.2", cause: MailboxFull},
		{name: "5.2.3 too big", status: "*.2.3", cause: TooBig},
		{name: "5.3.4 too big", status: "*.3.4", cause: TooBig},
		{name: "4.3.x system", status: "4.3.", cause: Rate},
		{name: "5.4.1 connect", status: "*.4.1", cause: Connect},
		{name: "5.4.4 domain", status: "*.4.4", cause: BadDomain},
		{name: "5.4.6 loop", status: "*.4.6", cause: Policy},
		{name: "5.5.3 recipients", status: "*.5.3", cause: Rate, notNow: true},
		{name: "5.5.x protocol", status: "*.5.", cause: Protocol},
		{name: "5.6.x content", status: "*.6.", cause: Content},
		{name: "4.7.1 to RCPT", status: "4.7.1", phase: waypost.PhaseRcpt, cause: Greylist},
		{name: "5.7.10 encryption", status: "*.7.10", cause: TLS, us: true},
		{name: "5.7.25 reverse DNS", status: "*.7.25", cause: Reputation},
		{name: "5.7.28 rate", status: "*.7.28", cause: Rate},
		{name: "5.7.x policy", status: "*.7.", cause: Policy},

		// Reply codes alone (RFC 5321 section 4.2.3).
		{name: "421", code: 421, cause: Rate},
		{name: "450 to RCPT", code: 450, phase: waypost.PhaseRcpt, cause: Greylist},
		{name: "452", code: 452, cause: Rate},
		{name: "500", code: 500, cause: Protocol},
		{name: "501", code: 501, cause: Protocol},
		{name: "502", code: 502, cause: Protocol},
		{name: "503", code: 503, cause: Protocol},
		{name: "504", code: 504, cause: Protocol},
		{name: "551 to RCPT", code: 551, phase: waypost.PhaseRcpt, cause: BadMailbox},
		// RFC 5321 section 4.5.3.1.10: servers of old say 552 where 452 is meant, "too
		// many recipients", and it is to be treated so. One that names the mailbox or
		// the size has matched above and means what it says.
		{name: "552 to RCPT", code: 552, phase: waypost.PhaseRcpt, cause: Rate, notNow: true},
		{name: "552", code: 552, cause: TooBig},
		{name: "555", code: 555, cause: Protocol},
		{name: "556 null MX", code: 556, cause: BadDomain},
	}
}
