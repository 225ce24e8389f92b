package classify_test

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/waypost"
)

// reply takes "550 5.1.1 text" apart.
func reply(t *testing.T, line string) waypost.Reply {
	t.Helper()
	m := regexp.MustCompile(`^(\d{3})(?: (\d\.\d{1,3}\.\d{1,3}))? ?(.*)$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("not a reply: %q", line)
	}
	code, _ := strconv.Atoi(m[1])
	return waypost.Reply{Code: code, Enhanced: m[2], Text: m[3]}
}

const (
	direct = waypost.RouteDirect
	relay  = waypost.RouteRelay
	up     = waypost.RouteUpstream

	greet = waypost.PhaseGreet
	hello = waypost.PhaseHello
	stls  = waypost.PhaseTLS
	auth  = waypost.PhaseAuth
	mail  = waypost.PhaseMail
	rcpt  = waypost.PhaseRcpt
	data  = waypost.PhaseData
	dot   = waypost.PhaseDot

	temporary = waypost.OutcomeTemporary
	permanent = waypost.OutcomePermanent
	routeDown = waypost.OutcomeRouteDown
)

// What servers in the world say, in their own words, host names and ids shortened.
func TestRepliesOfTheWorld(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	tests := []struct {
		server  string
		route   waypost.RouteKind
		phase   waypost.Phase
		reply   string
		outcome waypost.Outcome
		cause   classify.Cause
	}{
		// Gmail as MX.
		{"Gmail", direct, rcpt, "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces.", permanent, classify.BadMailbox},
		{"Gmail", direct, rcpt, "550 5.2.1 The email account that you tried to reach is disabled. For more information, go to https://support.google.com/mail/?p=DisabledUser", permanent, classify.BadMailbox},
		{"Gmail", direct, rcpt, "452 4.2.2 The recipient's inbox is out of storage space. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaTemp", temporary, classify.MailboxFull},
		{"Gmail", direct, rcpt, "552 5.2.2 The recipient's inbox is out of storage space and inactive. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaPerm", permanent, classify.MailboxFull},
		{"Gmail", direct, rcpt, "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.", temporary, classify.Rate},
		{"Gmail", direct, dot, "550 5.7.26 Your email has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.", permanent, classify.Policy},
		{"Gmail", direct, dot, "550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy.", permanent, classify.Policy},
		{"Gmail", direct, dot, "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited.", temporary, classify.Reputation},
		{"Gmail", direct, dot, "550 5.7.1 Gmail has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked.", permanent, classify.Content},
		{"Gmail", direct, dot, "552 5.7.0 This message was blocked because its content presents a potential security issue.", permanent, classify.Content},
		{"Gmail", direct, mail, "552 5.3.4 Your message exceeded Google's message size limits.", permanent, classify.TooBig},
		{"Gmail", direct, greet, "421 4.7.0 Try again later, closing connection.", temporary, classify.Rate},
		{"Gmail", direct, dot, "550 5.7.25 The IP address sending this message does not have a PTR record setup.", permanent, classify.Reputation},
		// Gmail as relay.
		{"smtp.gmail.com", relay, auth, "535 5.7.8 Username and Password not accepted. For more information, go to https://support.google.com/mail/?p=BadCredentials", routeDown, classify.Auth},
		{"smtp.gmail.com", relay, auth, "534 5.7.9 Application-specific password required.", routeDown, classify.Auth},
		{"smtp.gmail.com", relay, auth, "534 5.7.14 <https://accounts.google.com/signin/continue> Please log in via your web browser and then try again.", routeDown, classify.Auth},
		{"smtp.gmail.com", relay, auth, "454 4.7.0 Too many login attempts, please try again later.", routeDown, classify.Auth},
		{"smtp.gmail.com", relay, mail, "530 5.7.0 Authentication Required. For more information, go to https://support.google.com/mail", routeDown, classify.Auth},
		{"smtp.gmail.com", relay, mail, "530 5.7.0 Must issue a STARTTLS command first.", routeDown, classify.TLS},
		{"smtp.gmail.com", relay, rcpt, "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to https://support.google.com/a/answer/166852", routeDown, classify.Quota},
		{"smtp-relay.gmail.com", up, mail, "550 5.7.1 Invalid credentials for relay [203.0.113.9]. The IP address you've registered in your G Suite SMTP Relay service doesn't match.", routeDown, classify.Auth},
		{"smtp-relay.gmail.com", relay, mail, "550 5.7.0 Mail relay denied [203.0.113.9]. Invalid credentials for relay for one of the domains in: example.com", routeDown, classify.Auth},

		// Microsoft as MX.
		{"Exchange Online", direct, rcpt, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient x@example.com not found by SMTP address lookup", permanent, classify.BadMailbox},
		{"Exchange Online", direct, rcpt, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", permanent, classify.BadMailbox},
		{"Exchange Online", direct, mail, "451 4.7.650 The mail server [203.0.113.9] has been temporarily rate limited due to IP reputation.", temporary, classify.Reputation},
		{"Exchange Online", direct, rcpt, "550 5.7.606 Access denied, banned sending IP [203.0.113.9]. To request removal from this list please visit https://sender.office.com/", permanent, classify.Reputation},
		{"Exchange Online", direct, dot, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", permanent, classify.MailboxFull},
		{"Exchange Online", direct, rcpt, "550 5.7.1 Service unavailable, Client host [203.0.113.9] blocked using Spamhaus. To request removal from this list see https://www.spamhaus.org/query/ip/203.0.113.9", permanent, classify.Reputation},
		{"Outlook.com", direct, mail, "550 5.7.1 Unfortunately, messages from [203.0.113.9] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).", routeDown, classify.Reputation},
		{"Outlook.com", direct, rcpt, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", permanent, classify.BadMailbox},
		{"Outlook.com", direct, dot, "550 5.7.515 Access denied, sending domain EXAMPLE.COM does not meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements defined for the sender. SPF= Fail , DKIM= Fail , DMARC= Pass", permanent, classify.Policy},
		{"Exchange", direct, rcpt, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", permanent, classify.RelayDenied},
		// Microsoft as relay.
		{"smtp.office365.com", relay, auth, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.", routeDown, classify.Auth},
		{"smtp.office365.com", relay, auth, "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]", routeDown, classify.Auth},
		{"smtp.office365.com", relay, mail, "530 5.7.57 Client not authenticated to send mail.", routeDown, classify.Auth},
		{"smtp.office365.com", relay, dot, "554 5.2.252 SendAsDenied; a@example.com not allowed to send as b@example.com; STOREDRV.Submission.Exception:SendAsDeniedException", routeDown, classify.SenderRefused},
		{"Exchange", relay, mail, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", routeDown, classify.SenderRefused},
		{"smtp.office365.com", relay, dot, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a permanent exception", routeDown, classify.Quota},
		{"Exchange Online", relay, dot, "550 5.1.8 Access denied, bad outbound sender AS(42004)", routeDown, classify.SenderRefused},
		{"Exchange Online", relay, rcpt, "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients", routeDown, classify.Quota},
		{"Exchange Online", relay, rcpt, "550 5.7.64 TenantAttribution; Relay Access Denied SMTP", routeDown, classify.RelayDenied},
		{"Exchange Online", relay, dot, "550 5.7.705 Access denied, tenant has exceeded threshold", routeDown, classify.Quota},
		{"Exchange Online", relay, dot, "550 5.7.708 Access denied, traffic not accepted from this IP", routeDown, classify.Reputation},

		// Yahoo.
		{"Yahoo", direct, rcpt, "554 30 Sorry, your message to x@yahoo.com cannot be delivered. This mailbox is disabled (554.30).", permanent, classify.BadMailbox},
		{"Yahoo", direct, dot, "554 5.7.9 Message not accepted for policy reasons.  See https://postmaster.yahooinc.com/error-codes", permanent, classify.Policy},
		{"Yahoo", direct, greet, "553 5.7.1 [BL21] Connections will not be accepted from 203.0.113.9, because the ip is in Spamhaus's list", routeDown, classify.Reputation},
		{"Yahoo", direct, mail, "421 4.7.0 [TSS04] Messages from 203.0.113.9 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1", temporary, classify.Reputation},
		{"Yahoo", direct, dot, "552 1 Requested mail action aborted, mailbox not found", permanent, classify.BadMailbox},

		// Postfix.
		{"Postfix", direct, rcpt, "550 5.1.1 <x@example.com>: Recipient address rejected: User unknown in local recipient table", permanent, classify.BadMailbox},
		{"Postfix", direct, rcpt, "554 5.7.1 <x@example.org>: Relay access denied", permanent, classify.RelayDenied},
		{"Postfix", relay, rcpt, "554 5.7.1 <x@example.org>: Relay access denied", routeDown, classify.RelayDenied},
		{"Postfix", relay, rcpt, "553 5.7.1 <a@example.com>: Sender address rejected: not owned by user b@example.com", routeDown, classify.SenderRefused},
		{"Postfix", relay, rcpt, "553 5.7.1 <a@example.com>: Sender address rejected: not logged in", routeDown, classify.Auth},
		{"Postfix", relay, rcpt, "550 5.1.1 <x@example.com>: Recipient address rejected: User unknown in virtual mailbox table", permanent, classify.BadMailbox},
		{"Postfix", relay, auth, "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6", routeDown, classify.Auth},
		{"Postfix", direct, rcpt, "450 4.1.8 <a@example.com>: Sender address rejected: Domain not found", temporary, classify.SenderRefused},
		{"Postfix", direct, rcpt, "550 5.1.8 <a@example.com>: Sender address rejected: Domain not found", permanent, classify.SenderRefused},
		{"Postfix", direct, mail, "552 5.3.4 Message size exceeds fixed limit", permanent, classify.TooBig},
		{"Postfix", direct, mail, "452 4.3.1 Insufficient system storage", temporary, classify.Rate},
		{"Postfix", direct, rcpt, "452 4.5.3 Error: too many recipients", temporary, classify.Rate},
		{"Postfix", direct, rcpt, "450 4.2.0 <x@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html", temporary, classify.Greylist},
		{"Postfix", direct, rcpt, "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org", permanent, classify.Reputation},
		{"Postfix", relay, rcpt, "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org", routeDown, classify.Reputation},
		{"Postfix", direct, mail, "421 4.7.0 mx.example.com Error: too many connections from 203.0.113.9", temporary, classify.Rate},
		{"Postfix", direct, hello, "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", routeDown, classify.Reputation},
		{"Postfix", direct, dot, "451 4.3.0 Error: queue file write error", temporary, classify.Rate},
		{"Postfix", direct, dot, "554 5.4.6 Error: too many hops", permanent, classify.Policy},
		{"Postfix with amavis", relay, dot, "554 5.7.0 Reject, id=12345-01 - spam", permanent, classify.Content},
		{"Postfix", relay, stls, "502 5.5.1 Error: command not implemented", routeDown, classify.Protocol},
		{"Postfix with Dovecot", direct, rcpt, "552 5.2.2 <x@example.com>: Recipient address rejected: Quota exceeded (mailbox for user is full)", permanent, classify.MailboxFull},
		{"Postfix with Dovecot", direct, rcpt, "452 4.2.2 <x@example.com> Mailbox is full / Blocks limit exceeded / Inode limit exceeded", temporary, classify.MailboxFull},

		// Exim and cPanel.
		{"Exim", direct, rcpt, "550 No Such User Here", permanent, classify.BadMailbox},
		{"Exim", direct, rcpt, "550 Unrouteable address", permanent, classify.BadMailbox},
		{"Exim", relay, rcpt, "550 relay not permitted", routeDown, classify.RelayDenied},
		{"Exim", relay, rcpt, "550 relay not permitted, authentication required", routeDown, classify.Auth},
		{"Exim", relay, auth, "535 Incorrect authentication data", routeDown, classify.Auth},
		{"Exim", direct, rcpt, "550 Sender verify failed", permanent, classify.SenderRefused},
		{"Exim", direct, rcpt, "451 Temporary local problem - please try later", temporary, classify.Unknown},
		{"cPanel", relay, rcpt, "550 Domain example.com has exceeded the max emails per hour (101/100 (101%)) allowed.  Message discarded.", routeDown, classify.Quota},

		// Yandex and Mail.ru.
		{"Yandex", direct, rcpt, "550 5.7.1 No such user!", permanent, classify.BadMailbox},
		{"Yandex", direct, dot, "554 5.7.1 [1] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc", permanent, classify.Content},
		{"smtp.yandex.ru", relay, auth, "535 5.7.8 Error: authentication failed: Invalid user or password!", routeDown, classify.Auth},
		{"smtp.yandex.ru", relay, mail, "553 5.7.1 Sender address rejected: not owned by auth user.", routeDown, classify.SenderRefused},
		{"smtp.yandex.ru", relay, rcpt, "451 4.5.3 The recipient <x@example.com> has exceeded their message rate limit. Try again later.", temporary, classify.Rate},
		{"Mail.ru", direct, rcpt, "550 Message was not accepted -- invalid mailbox.  Local mailbox x@mail.ru is unavailable: user not found", permanent, classify.BadMailbox},
		{"Mail.ru", direct, dot, "550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=abc or report details to abuse@corp.mail.ru.", permanent, classify.Content},
		{"Mail.ru", direct, rcpt, "451 Try again later; greylisted", temporary, classify.Greylist},
		{"smtp.mail.ru", relay, rcpt, "550 not local sender over smtp", routeDown, classify.SenderRefused},
		{"smtp.mail.ru", relay, auth, "535 5.7.0 NEOBHODIM parol prilozheniya https://help.mail.ru/mail/security/protection/external / Application password is REQUIRED", routeDown, classify.Auth},
		{"smtp.mail.ru", relay, dot, "451 Ratelimit exceeded for mailbox a@mail.ru. Try again later.", temporary, classify.Rate},

		// Services.
		{"SES", relay, dot, "554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: a@example.com", routeDown, classify.SenderRefused},
		{"SES", relay, rcpt, "454 Throttling failure: Maximum sending rate exceeded.", temporary, classify.Rate},
		{"SES", relay, rcpt, "454 Throttling failure: Daily message quota exceeded.", temporary, classify.Quota},
		{"SES", relay, auth, "535 Authentication Credentials Invalid", routeDown, classify.Auth},
		{"SES", relay, mail, "530 Authentication required", routeDown, classify.Auth},
		{"SES", relay, dot, "554 Access denied: User `arn:aws:iam::1:user/x' is not authorized to perform `ses:SendRawEmail' on resource `arn:aws:ses'", routeDown, classify.Auth},
		{"SendGrid", relay, dot, "550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.", routeDown, classify.SenderRefused},
		{"SendGrid", relay, auth, "451 Authentication failed: Maximum credits exceeded", routeDown, classify.Quota},
		{"SendGrid", relay, mail, "550 Unauthenticated senders not allowed", routeDown, classify.Auth},
		{"Mailgun", relay, dot, "550 5.7.1 Domain example.com is not allowed to send: Free accounts are for test purposes only. Please upgrade or add the address to authorized recipients in Account Settings.", routeDown, classify.SenderRefused},
		{"Mandrill", relay, auth, "535 5.7.8 Error: authentication failed: authentication failure", routeDown, classify.Auth},
		{"Mandrill", relay, dot, "550 5.7.1 Your account has been disabled. Please contact support.", routeDown, classify.Auth},
		{"Brevo", relay, dot, "502 5.7.0 Your SMTP account is not yet activated. Contact us at contact@brevo.com to request activation", routeDown, classify.Auth},
		{"Zoho", relay, rcpt, "553 Relaying disallowed as a@example.com", routeDown, classify.SenderRefused},
		{"Zoho", relay, dot, "550 5.4.6 Unusual sending activity detected. Please try after sometime", routeDown, classify.Rate},
		{"GMX", direct, dot, "554 Transaction failed Reject due to policy restrictions. For explanation visit https://postmaster.gmx.net/en/error-messages", permanent, classify.Policy},
		{"GMX", direct, rcpt, "550 Requested action not taken: mailbox unavailable", permanent, classify.BadMailbox},
		{"GMX", direct, greet, "554 gmx.net (mxgmx101) Nemesis ESMTP Service not available No SMTP service IP address is block listed.", routeDown, classify.Reputation},
		{"iCloud", direct, rcpt, "552 5.2.2 <x@icloud.com>: user is over quota", permanent, classify.MailboxFull},
		{"Proofpoint", direct, greet, "554 Blocked - see https://ipcheck.proofpoint.com/?ip=203.0.113.9", routeDown, classify.Reputation},
		{"Barracuda", direct, rcpt, "550 permanent failure for one or more recipients (x@example.com:blocked)", permanent, classify.Unknown},
		{"qmail", relay, rcpt, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", routeDown, classify.RelayDenied},
		{"sendmail", direct, rcpt, "550 5.1.2 <x@example.invalid>... Host unknown (Name server: example.invalid: host not found)", permanent, classify.BadDomain},

		// Codes without words.
		{"old server", direct, rcpt, "552 Requested action aborted", temporary, classify.Rate},
		{"old server", direct, rcpt, "552 5.5.3 no more", temporary, classify.Rate},
		{"any", direct, rcpt, "550", permanent, classify.Unknown},
		{"any", direct, dot, "554 no", permanent, classify.Unknown},
		{"any", direct, data, "554 no", permanent, classify.Unknown},
		{"any", direct, mail, "550 no", routeDown, classify.Unknown},
		{"any", direct, mail, "555 parameters not recognized", routeDown, classify.Protocol},
		{"any", relay, mail, "554 5.6.3 conversion required but not supported", permanent, classify.Content},
		{"any", direct, mail, "550 5.2.3 no", permanent, classify.TooBig},
		{"any", direct, rcpt, "450 later", temporary, classify.Greylist},
		{"any", direct, dot, "452 later", temporary, classify.Rate},
		{"any", direct, greet, "421 busy", temporary, classify.Rate},
		{"any", direct, waypost.PhaseDNS, "556 5.1.10 the domain accepts no mail", permanent, classify.BadDomain},
		{"any", direct, rcpt, "354 what?", temporary, classify.Protocol},
	}
	for _, tt := range tests {
		t.Run(tt.server+" "+string(tt.phase)+" "+tt.reply[:min(40, len(tt.reply))], func(t *testing.T) {
			t.Parallel()
			v := rules.Classify(classify.Input{Phase: tt.phase, Route: tt.route, Reply: reply(t, tt.reply)})
			if v.Outcome != tt.outcome || v.Cause != tt.cause {
				t.Errorf("%s to %s: %q\n got %s, %s (rule %q)\nwant %s, %s", tt.server, tt.phase, tt.reply, v.Outcome, v.Cause, v.Rule, tt.outcome, tt.cause)
			}
			if v.Blame == "" || v.Rule == "" {
				t.Errorf("verdict without blame or rule: %+v", v)
			}
		})
	}
}
