package classify

import (
	"slices"

	"github.com/waypost/waypost/internal/waypost"
)

// Short names that keep the rows on a line.
const (
	atRoute   = waypost.PhaseRoute
	atDNS     = waypost.PhaseDNS
	atConnect = waypost.PhaseConnect
	atGreet   = waypost.PhaseGreet
	atHello   = waypost.PhaseHello
	atTLS     = waypost.PhaseTLS
	atAuth    = waypost.PhaseAuth
	atMail    = waypost.PhaseMail
	atRcpt    = waypost.PhaseRcpt
	atData    = waypost.PhaseData
	atDot     = waypost.PhaseDot
)

type phases = []waypost.Phase

// relaySilence is for an own server that said nothing. The texts are those that package
// deliver makes of the errors of smtpc, guard, dns and the standard library.
func relaySilence() []adviceRule {
	return []adviceRule{
		{advice: "sender_of_platform", phases: phases{atRoute}, text: []string{"addresses of the platform do not leave"}},
		{advice: "settings_missing", phases: phases{atRoute}, text: []string{"there are no settings of the smtp server"}},

		{advice: "host_unknown", phases: phases{atDNS}, text: []string{": no such domain", ": no such host", ": no such record", ": not a domain name"}},

		{advice: "port_not_allowed", phases: phases{atConnect}, text: []string{"port not allowed"}},
		{advice: "host_self", phases: phases{atConnect}, text: []string{"destination refused: address of this server"}},
		{advice: "host_private", phases: phases{atConnect}, text: []string{"destination refused"}},
		{advice: "connection_refused", phases: phases{atConnect}, text: []string{"connection refused"}},
		{advice: "port25_blocked", phases: phases{atConnect}, causes: []Cause{Timeout}, when: onPort25},
		{advice: "timeout_connect", phases: phases{atConnect}, causes: []Cause{Timeout}},
		{
			advice: "port_blocked", phases: phases{atConnect},
			text: []string{"there is no way to that address", "permission denied", "operation not permitted"},
		},

		// In TLS 1.3 a server asks for ours when we think that the handshake is over.
		{advice: "tls_client_certificate", text: []string{"tls: certificate required", "remote error: tls: bad certificate"}},

		// A server that waits for TLS says nothing, or hangs up, or sends what is no SMTP.
		{advice: "plain_port_with_tls", phases: phases{atGreet}, when: plainOn465},
		{advice: "not_smtp", phases: phases{atGreet, atHello}, causes: []Cause{Protocol}},
		{advice: "timeout_greeting", phases: phases{atGreet}, causes: []Cause{Timeout}},
		{advice: "greeting_closed", phases: phases{atGreet}, causes: []Cause{Connect}},

		{advice: "tls_on_wrong_port", phases: phases{atTLS}, text: []string{"does not look like a tls handshake"}, when: withTLS},
		{advice: "tls_on_wrong_port", phases: phases{atTLS}, causes: []Cause{Connect}, when: tlsElsewhere},
		{advice: "starttls_missing", phases: phases{atTLS}, text: []string{"does not offer starttls"}},
		{advice: "tls_intercepted", phases: phases{atTLS}, text: []string{"in plaintext behind the reply to starttls"}},
		{
			advice: "certificate_name", phases: phases{atTLS}, text: []string{
				"x509: certificate is valid for", "x509: certificate is not valid for", "x509: cannot validate certificate for",
				"legacy common name",
			},
		},
		{advice: "certificate_expired", phases: phases{atTLS}, text: []string{"x509: certificate has expired or is not yet valid"}},
		{advice: "certificate_unknown", phases: phases{atTLS}, text: []string{"signed by unknown authority"}},
		{advice: "certificate_bad", phases: phases{atTLS}, text: []string{"x509:", "failed to verify certificate"}},
		{
			advice: "tls_outdated", phases: phases{atTLS},
			text: []string{"protocol version", "handshake failure", "cipher suite", "insufficient security"},
		},

		{advice: "auth_needs_tls", phases: phases{atAuth}, text: []string{"offers no login"}, when: noTLS},
		{advice: "auth_not_offered", phases: phases{atAuth}, text: []string{"offers no login"}},
		{advice: "password_missing", phases: phases{atAuth}, text: []string{"holds a nul or is empty"}},
		{advice: "auth_mechanism", phases: phases{atAuth}, text: []string{"unexpected challenge"}},

		{advice: "no_answer", phases: phases{atDot}},
		{advice: "server_silent", phases: phases{atHello, atAuth, atMail, atRcpt, atData}, causes: []Cause{Timeout}},
		{advice: "connection_lost", phases: phases{atHello, atAuth, atMail, atRcpt, atData}, causes: []Cause{Connect}},
		{advice: "not_smtp", phases: phases{atAuth, atMail, atRcpt, atData}, causes: []Cause{Protocol}},
		// What goes wrong here without a word is no verdict on addresses or content.
		{advice: "not_sent", phases: phases{atMail, atRcpt, atData}},
	}
}

// relayReplies is for what an own server said. What it said in words goes before where it
// said it, and that before what the words amount to (the cause).
func relayReplies() []adviceRule {
	return slices.Concat(relayLogin(), relaySender(), aboutMail(), []adviceRule{
		{advice: "ip_blocklisted", causes: []Cause{Reputation}},
		{advice: "server_busy", phases: phases{atGreet, atHello}, class: 4},
		{advice: "quota", causes: []Cause{Quota}},
		{advice: "sender_refused", causes: []Cause{SenderRefused}},
		{advice: "relay_denied", causes: []Cause{RelayDenied}},
		{advice: "auth_rejected", causes: []Cause{Auth}},
		{advice: "auth_needs_tls", causes: []Cause{TLS}},
		{advice: "refused_for_now", phases: phases{atMail, atRcpt, atData, atDot}, class: 4},
	})
}

// relayLogin has the rows about encryption, login and account.
func relayLogin() []adviceRule {
	inMail := phases{atMail, atRcpt, atData, atDot}
	return []adviceRule{
		// Said by STARTTLS: the words of a cause are about other things.
		{advice: "starttls_missing", phases: phases{atTLS}, codes: []int{500, 501, 502, 503, 504}},
		{advice: "tls_unavailable", phases: phases{atTLS}},
		{advice: "hello_refused", phases: phases{atHello}, text: []string{"helo", "ehlo", "hostname", "host name"}},

		// Microsoft. Its answer to a login may follow one to MAIL, so in any phase.
		{advice: "office365_smtp_auth_disabled", text: []string{"smtpclientauthentication is disabled", "smtp_auth_disabled"}},
		{advice: "oauth_required", text: []string{"basic authentication is disabled", "basic authentication is not supported"}},
		{advice: "oauth_required", phases: phases{atAuth}, hosts: []string{"smtp-mail.outlook.com"}},
		{advice: "office365_policy", text: []string{"did not meet the criteria", "security defaults", "conditional access"}},
		{advice: "account_locked", text: []string{"account locked", "account is locked", "account has been locked", "account is temporarily locked"}},

		// Google, Yahoo, Yandex, Mail.ru and those who speak like them.
		{
			advice: "app_password", text: []string{
				"application-specific password", "app-specific password", "application password", "parol prilozheniya",
				"app password", "invalidsecondfactor", "#auth005",
			},
		},
		{
			advice: "mailbox_access_off", text: []string{
				"not have access rights to this service", "imap is disabled", "smtp is disabled", "smtp access is disabled", "smtp service is disabled",
			},
		},
		{
			advice: "browser_login", text: []string{
				"log in via your web browser", "log in with your web browser", "webloginrequired", "accept eula", "accept the eula",
				"please verify your account", "prove you are not a robot",
			},
		},
		{advice: "login_throttled", text: []string{"too many login", "too many failed", "too many bad auth", "too many authentication", "too many invalid"}},
		{
			advice: "ip_not_allowed", text: []string{
				"unauthorized ip", "ip not authorized", "ip is not authorized", "invalid credentials for relay", "mail relay denied",
				"ip address you've registered", "not whitelisted", "ip is not allowed", "ip address is not allowed",
			},
		},
		{
			advice: "account_inactive", phases: phases{atGreet, atHello, atAuth, atMail, atData, atDot}, text: []string{
				"not yet activated", "has been disabled", "account is disabled", "account disabled", "account is inactive",
				"suspended", "not subscribed to ses", "sending for this account is disabled", "sending paused",
			},
		},
		{advice: "account_sandbox", text: []string{"for test purposes only", "authorized recipients"}},
		{advice: "quota", phases: phases{atAuth}, causes: []Cause{Quota}},
		{advice: "server_busy", phases: phases{atAuth}, text: []string{"concurrent connections", "too many connections", "too many concurrent"}},

		{
			advice: "auth_needs_tls", text: []string{
				"must issue a starttls", "starttls is required", "starttls required", "starttls first", "tls required", "tls is required",
				"without ssl/tls", "encryption required", "encryption needed", "requires tls", "require tls",
			},
		},
		{advice: "auth_needs_tls", codes: []int{538}},

		// Nobody logged in: then whatever speaks of permission means that.
		{
			advice: "login_missing", phases: inMail, text: []string{
				"auth command first", "authentication required", "authentication is required", "auth is required", "auth required",
				"must authenticate", "authenticate first", "please authenticate", "not authenticated", "not logged in",
			}, when: noLogin,
		},
		{advice: "login_missing", phases: inMail, codes: []int{530}, when: noLogin},
		{advice: "login_missing", phases: inMail, causes: []Cause{RelayDenied, Auth}, when: noLogin},

		// A login that failed, by where.
		{
			advice: "auth_not_offered", phases: phases{atAuth},
			text: []string{"not advertised", "authentication not enabled", "authentication is not enabled"},
		},
		{
			advice: "auth_mechanism", phases: phases{atAuth},
			text: []string{"authentication type", "mechanism", "authentication method", "auth method"},
		},
		{advice: "auth_mechanism", phases: phases{atAuth}, codes: []int{334, 500, 501, 502, 503, 504}},
		{advice: "auth_temporary", phases: phases{atAuth}, text: []string{"temporary", "temporarily", "try again", "try later"}},
		{
			advice: "app_password", phases: phases{atAuth}, hosts: slices.Concat([]string{
				"gmail.com", "googlemail.com", "yahoo.com", "aol.com", "mail.me.com", "mail.ru",
				"yandex.com", "yandex.ru", "yandex.by", "yandex.kz", "yandex.com.tr",
			}, zohoHosts()),
		},
		{advice: "api_key", phases: phases{atAuth}, hosts: []string{"sendgrid.net", "mandrillapp.com", "postmarkapp.com"}},
		{
			advice: "smtp_credentials", phases: phases{atAuth},
			hosts: []string{"amazonaws.com", "mailgun.org", "brevo.com", "sendinblue.com", "smtp2go.com"},
		},
		{advice: "office365_login", phases: phases{atAuth}, hosts: []string{"office365.com", "outlook.com"}},
		{advice: "office365_login", status: []string{"5.7.57", "5.7.139"}},
		{advice: "auth_temporary", phases: phases{atAuth}, class: 4},
		{advice: "auth_rejected", phases: phases{atAuth}},
	}
}

func zohoHosts() []string {
	return []string{"zoho.com", "zoho.eu", "zoho.in", "zoho.com.au", "zoho.jp", "zoho.sa", "zoho.com.cn", "zohocloud.ca"}
}

// relaySender has the rows about the sender address.
func relaySender() []adviceRule {
	return []adviceRule{
		{
			advice: "sender_not_verified", text: []string{
				"verified sender", "address is not verified", "address not verified", "domain not verified", "domain is not verified",
				"sender signature", "sender not verified", "sender is not verified", "unregistered domain",
				"not associated with your account", "from/sender name is not valid",
			},
		},
		{advice: "sender_not_verified", status: []string{"5.7.750"}},
		{advice: "sender_blocked", text: []string{"bad outbound sender", "outboundspam", "banned sender"}},
		{
			advice: "sender_not_own", text: []string{
				"not owned by", "send as this sender", "sendasdenied", "send as denied", "allowed to send as", "relaying disallowed as",
				"not local sender over smtp", "must match", "match the authenticated", "address does not belong",
			},
		},
		{advice: "sender_not_own", status: []string{"5.7.60"}},
		// Yahoo's answer to a sender that is not the account's.
		{advice: "sender_not_own", phases: phases{atMail, atData, atDot}, text: []string{"request failed; mailbox unavailable"}, hosts: []string{"yahoo.com"}},
		{
			advice: "sender_domain", text: []string{
				"sender address rejected: domain not found", "domain of sender address", "sender domain must", "sender domain does not",
				"unrouteable sender",
			},
		},
	}
}

// aboutMail has the rows about recipient, content and moment, which are the same whoever
// takes the mail.
func aboutMail() []adviceRule {
	return []adviceRule{
		{advice: "recipient_inactive", text: []string{"marked as inactive", "inactive recipient", "suppression list"}},
		{advice: "smtputf8_missing", status: []string{"5.6.7"}},
		{advice: "message_refused", status: []string{"*.6."}}, // its form, which is ours to make
		{advice: "domain_authentication", causes: []Cause{Policy}, text: []string{"dmarc", "spf", "dkim", "unauthenticated"}},
		{advice: "greylisted", causes: []Cause{Greylist}},
		{advice: "mailbox_full", causes: []Cause{MailboxFull}},
		{advice: "recipient_refused", causes: []Cause{BadMailbox}},
		{advice: "recipient_domain", causes: []Cause{BadDomain}},
		{advice: "size", causes: []Cause{TooBig}},
		{advice: "spam_refused", causes: []Cause{Content}},
		{advice: "server_busy", causes: []Cause{Rate}},
		{advice: "policy_refused", phases: phases{atMail, atRcpt, atData, atDot}, causes: []Cause{Policy}},
	}
}

// builtinSilence is for the built-in gateway where no server said anything.
func builtinSilence() []adviceRule {
	return []adviceRule{
		{advice: "not_signed", phases: phases{atRoute}, text: []string{"cannot be signed"}},
		{
			advice: "recipient_domain", phases: phases{atDNS},
			text: []string{": no such domain", ": no such host", ": no such record", ": not a domain name", "the mx record", "no usable mx"},
		},
		{advice: "recipient_domain", phases: phases{atConnect}, text: []string{"destination refused"}},
		{advice: "no_answer", phases: phases{atDot}},
		{advice: "recipient_server", phases: phases{atMail, atRcpt, atData}},
	}
}

// builtinReplies is for what a recipient's server said to the built-in gateway.
func builtinReplies() []adviceRule {
	return slices.Concat([]adviceRule{
		{advice: "recipient_domain", phases: phases{atDNS}},
		{advice: "platform_relay", phases: phases{atAuth}},
	}, aboutMail(), []adviceRule{
		{advice: "platform_blocklisted", causes: []Cause{Reputation}},
		{advice: "platform_relay", causes: []Cause{Auth, Quota}},
		{advice: "recipient_domain", causes: []Cause{RelayDenied}},
		{advice: "sender_disliked", causes: []Cause{SenderRefused}},
		{advice: "refused_for_now", phases: phases{atMail, atRcpt, atData, atDot}, class: 4},
	})
}
