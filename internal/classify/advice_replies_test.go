package classify_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/waypost"
)

// at is an own server with a login, on its usual port.
func at(host string) classify.Server {
	return classify.Server{Host: host, Port: 587, Security: waypost.SecurityStartTLS, Login: true}
}

// open is an own server without a login.
func open(host string) classify.Server {
	s := at(host)
	s.Login = false
	return s
}

// bare is an own server with a login and without encryption.
func bare(host string) classify.Server {
	return classify.Server{Host: host, Port: 25, Security: waypost.SecurityNone, Login: true}
}

// What providers say to a client that has something wrong, in their own words, ids and
// addresses shortened; above them where they were read (issues are those of github.com).
func TestAdviceOnRepliesOfProviders(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	const (
		gmail, google = "smtp.gmail.com", "smtp-relay.gmail.com"
		o365, outlook = "smtp.office365.com", "smtp-mail.outlook.com"
		yahoo, zoho   = "smtp.mail.yahoo.com", "smtp.zoho.eu"
		yandex, vk    = "smtp.yandex.ru", "smtp.mail.ru"
		sendgrid, ses = "smtp.sendgrid.net", "email-smtp.eu-west-1.amazonaws.com"
		mailgun       = "smtp.mailgun.org"
		postmark      = "smtp.postmarkapp.com"
		brevo         = "smtp-relay.brevo.com"
		mandrill      = "smtp.mandrillapp.com"
		smtp2go       = "mail.smtp2go.com"
		own           = "mail.op.test"
	)
	tests := []struct {
		server classify.Server
		phase  waypost.Phase
		reply  string
		want   string
	}{
		// Google.
		// danielalves96/zublo/issues/11
		{at(gmail), auth, "535 5.7.8 Username and Password not accepted. For more information, go to 5.7.8 https://support.google.com/mail/?p=BadCredentials ffacd0b85a97d-45d9ec344536t8f.12 - gsmtp", "app_password"},
		// mageplaza/magento-2-smtp/issues/181
		{at(gmail), auth, "534 5.7.9 Application-specific password required. Learn more at 5.7.9 https://support.google.com/mail/?p=InvalidSecondFactor h26sm30121397pfq.64 - gsmtp", "app_password"},
		// firebase/functions-samples/issues/39
		{at(gmail), auth, "534 5.7.14 <https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=AKgnsbs7\nUF7mumzUwFIZrMDWiiimSdrlEvZIp8kRC3QRkzqwfOM94wkvVFys_Yjllj6KGuBubi6SwF> Please log in via your web browser and\nthen try again.\n Learn more at\n https://support.google.com/mail/answer/78754 100sm8943270iot.39 - gsmtp", "browser_login"},
		// kootenpv/yagmail/issues/111
		{at(gmail), auth, "534 5.7.9 Please log in with your web browser and then try again. Learn more at 5.7.9  https://support.google.com/mail/?p=WebLoginRequired", "browser_login"},
		// support.google.com/a/answer/3726730
		{at(gmail), auth, "535 5.7.1 Please log in with your web browser and then try again.", "browser_login"},
		{at(gmail), auth, "454 4.7.0 Cannot authenticate due to temporary system problem. Try again later.", "auth_temporary"},
		{at(gmail), auth, "454 4.7.0 Too many login attempts, please try again later.", "login_throttled"},
		{at(gmail), auth, "504 5.7.4 Unrecognized Authentication Type.", "auth_mechanism"},
		{open(gmail), mail, "530 5.5.1 Authentication Required.", "login_missing"},
		// passbolt/passbolt_docker/issues/25
		{bare(gmail), mail, "530 5.7.0 Must issue a STARTTLS command first. m129sm2162575qkc.2 - gsmtp", "auth_needs_tls"},
		// replies_test.go
		{at(gmail), rcpt, "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to https://support.google.com/a/answer/166852", "quota"},
		// support.google.com/a/answer/2956491
		{at(google), rcpt, "550 5.4.5 Daily SMTP relay limit exceeded for user.", "quota"},
		// replies_test.go
		{open(google), mail, "550 5.7.0 Mail relay denied [203.0.113.7].\nInvalid credentials for relay for one of the domains in: example.com", "ip_not_allowed"},
		// support.google.com/a/answer/3726730
		{at(gmail), rcpt, "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.", "server_busy"},
		{at(gmail), mail, "552 5.2.3 Your message exceeded Google's message size limits.", "size"},
		{at(gmail), rcpt, "553 5.1.2 We weren't able to find the recipient domain. Please check for any spelling errors, and make sure you didn't enter any spaces, periods, or other punctuation after the recipient's email address.", "recipient_domain"},

		// Microsoft.
		// simonrob/email-oauth2-proxy/issues/193
		{at(o365), auth, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [MN2PR05CA0004.namprd05.prod.outlook.com 2023-09-12T20:59:57.214Z 08DBB276B7E699C4]", "office365_smtp_auth_disabled"},
		// MicrosoftDocs/OfficeDocs-Exchange/issues/3124
		{at(o365), mail, "530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.", "office365_smtp_auth_disabled"},
		// nodemailer/nodemailer/issues/1617
		{at(o365), auth, "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator. [MN2PR07CA0004.namprd07.prod.outlook.com]", "office365_policy"},
		// codassassin/email-bomber-v2.0/issues/1
		{at(o365), auth, "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. [PH0PR07CA0004.namprd07.prod.outlook.com]", "office365_login"},
		// public code for Microsoft 365
		{at(o365), mail, "530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.139 Authentication unsuccessful, account locked. Contact your administrator. [CH2PR19CA0002.namprd19.prod.outlook.com]", "account_locked"},
		// tarickb/sasl-xoauth2/issues/43
		{at(o365), auth, "535 5.7.3 Authentication unsuccessful [FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM]", "office365_login"},
		// rpremraj/mailR/issues/107
		{at(o365), auth, "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [BM1P287CA0015.INDP287.PROD.OUTLOOK.COM]", "oauth_required"},
		// hassio-addons/app-vaultwarden/issues/402
		{at(outlook), auth, "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [LO2P265CA0482.GBRP265.PROD.OUTLOOK.COM 2026-02-19T15:42:20.743Z 08DE6F7B77124F67]", "oauth_required"},
		// OpenCTI-Platform/opencti/issues/12069
		{at(o365), auth, "550 5.7.30 Basic authentication is not supported for Client Submission.", "oauth_required"},
		// MicrosoftDocs/OfficeDocs-Exchange/pull/2648
		{open(o365), mail, "530 5.7.57 Client not authenticated to send mail.", "login_missing"},
		// the same, with a login
		{at(o365), mail, "530 5.7.57 Client not authenticated to send mail.", "office365_login"},
		// learn.microsoft.com, "Fix issues with printers, scanners, and LOB applications"
		{at(o365), dot, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "sender_not_own"},
		// replies_test.go
		{at(o365), dot, "554 5.2.252 SendAsDenied; a@example.com not allowed to send as b@example.com; STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied", "sender_not_own"},
		{at(o365), dot, "550 5.1.8 Access denied, bad outbound sender AS(42004)", "sender_blocked"},
		// aka.ms/concurrent_sending
		{at(o365), dot, "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information. [Hostname=P212321.PROD.OUTLOOK.COM]", "server_busy"},
		// replies_test.go
		{at(o365), dot, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a permanent exception", "quota"},
		{at(o365), dot, "550 5.7.708 Access denied, traffic not accepted from this IP", "ip_blocklisted"},
		// learn.microsoft.com, "Email non-delivery reports and SMTP errors in Exchange Online"
		{at(o365), dot, "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains.", "sender_not_verified"},
		// sisimai/go-sisimai/issues/150
		{at(o365), rcpt, "550 5.7.515 Access denied, sending domain EXAMPLE.JP doesn't meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements defined for the sender. Spf= Fail , Dkim= Pass , DMARC= Pass", "domain_authentication"},

		// Yahoo.
		// nodemailer/nodemailer/issues/1112
		{at(yahoo), auth, "535 5.7.0 (#AUTH005) Too many bad auth attempts.", "app_password"},
		// public list archives (mdadm --monitor --test over msmtp)
		{at(yahoo), dot, "550 Request failed; Mailbox unavailable", "sender_not_own"},
		// the same from others is about the recipient
		{at(own), rcpt, "550 Request failed; Mailbox unavailable", "recipient_refused"},
		// ActiveCampaign/smtp-field-manual/pull/64
		{at(own), greet, "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list;", "ip_blocklisted"},

		// Zoho.
		// frappe/erpnext/issues/19057
		{at(zoho), dot, "553 Relaying disallowed as alerts@example.com", "sender_not_own"},
		// nodemailer/nodemailer/issues/456
		{at(zoho), auth, "535 Authentication Failed", "app_password"},

		// Yandex and Mail.ru.
		// searchengines.guru/ru/forum/1037543
		{at(yandex), auth, "535 5.7.8 Error: authentication failed: This user does not have access rights to this service", "mailbox_access_off"},
		// replies_test.go
		{at(yandex), auth, "535 5.7.8 Error: authentication failed: Invalid user or password!", "app_password"},
		// higty/higlabo/pull/17
		{at(yandex), auth, "535 5.7.8 Error: authentication failed: Your message looks like spam. You need to use web for sending or prove you are not a robot using the following link http://ya.cc", "browser_login"},
		// PHPMailer/PHPMailer/issues/283
		{bare(yandex), auth, "530 5.7.7 Email sending without SSL/TLS encryption is not allowed. Please see: http://help.yandex.ru/mail/mail-clients/ssl.xml", "auth_needs_tls"},
		// splitbrain/dokuwiki-plugin-smtp/issues/38
		{at(yandex), mail, "553 5.7.1 Sender address rejected: not owned by auth user.", "sender_not_own"},
		// chatmail/provider-db/issues/205
		{at(yandex), dot, "554 5.7.1 [2] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc 1631900360-h4Ajl35YEe-dK78OYi4", "spam_refused"},
		// public tests of an SMTP client
		{open(yandex), mail, "503 5.5.4 Error: send AUTH command first.", "login_missing"},
		// lmanukyan/print-designer/issues/5
		{at(vk), auth, "535 5.7.0 NEOBHODIM parol prilozheniya https://help.mail.ru/mail/security/protection/external / Application password is REQUIRED", "app_password"},
		// mailout.ru/2015/09
		{at(vk), mail, "550 message sending for this account is disabled", "account_inactive"},
		// muquit/mailsend/issues/74
		{at(vk), auth, "535 Incorrect authentication data: authentication failed", "app_password"},

		// SendGrid.
		// sahat/hackathon-starter/issues/1083
		{at(sendgrid), dot, "550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved. Visit https://sendgrid.com/docs/for-developers/sending-email/sender-identity/ to see the Sender Identity requirements", "sender_not_verified"},
		// mautic/mautic/issues/8721
		{at(sendgrid), auth, "451 Authentication failed: Maximum credits exceeded", "quota"},
		// public logs of SendGrid users
		{at(sendgrid), auth, "535 Authentication failed: Bad username / password", "api_key"},
		// sendgrid/docs/issues/6473
		{open(sendgrid), mail, "550 Unauthenticated senders not allowed", "login_missing"},

		// Amazon SES, all from docs.aws.amazon.com/ses/latest/dg/troubleshoot-smtp.html.
		{at(ses), dot, "554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: a@example.com", "sender_not_verified"},
		{at(ses), auth, "535 Authentication Credentials Invalid", "smtp_credentials"},
		{at(ses), auth, "535 Account not subscribed to SES", "account_inactive"},
		{open(ses), mail, "530 Authentication required", "login_missing"},
		{at(ses), auth, "454 Temporary authentication failure", "auth_temporary"},
		{at(ses), dot, "454 Throttling failure: Daily message quota exceeded", "quota"},
		{at(ses), dot, "454 Throttling failure: Maximum sending rate exceeded", "server_busy"},
		{at(ses), greet, "421 Too many concurrent SMTP connections", "server_busy"},
		{at(ses), dot, "552 Message is too long.", "size"},
		{at(ses), dot, "554 Access denied: User arn:aws:iam::1:user/x is not authorized to perform ses:SendRawEmail on resource arn:aws:ses", "auth_rejected"},

		// Mailgun, Postmark, Brevo, Mandrill, SMTP2GO, others.
		// public logs of Mailgun users (nodemailer)
		{at(mailgun), auth, "535 5.7.0 Mailgun is not loving your login or password", "smtp_credentials"},
		// swapmyvote/swapmyvote/issues/891
		{at(mailgun), data, "421 Domain app7957.mailgun.org is not allowed to send: Sandbox subdomains are for test purposes only. Please add your own domain or add the address to authorized recipients in Account Settings.", "account_sandbox"},
		// zonque/AlRide/issues/7
		{at(mailgun), rcpt, "554 Sandbox subdomains are for test purposes only. Please add your own domain or add the address to authorized recipients in domain settings.", "account_sandbox"},
		// mailgun/documentation/pull/471
		{at(mailgun), rcpt, "550 5.7.1 Relaying denied", "relay_denied"},
		// ActiveCampaign/postmark-rails/issues/93 (its API's words)
		{at(postmark), dot, "550 You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: test@bounce-testing.postmarkapp.com. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.", "recipient_inactive"},
		// postmarkapp.com/developer/api/overview, error 400 (its API's words)
		{at(postmark), dot, "550 The 'From' address you supplied (a@example.org) is not a Sender Signature on your account. Please add and confirm this address in order to be able to use it in the 'From' field of your messages.", "sender_not_verified"},
		// RFC 4954 section 6, by host
		{at(postmark), auth, "535 5.7.8 Error: authentication failed", "api_key"},
		// developers.brevo.com/docs/ip-security; public logs
		{at(brevo), auth, "525 5.7.1 Unauthorized IP address", "ip_not_allowed"},
		// smtptester.org/guides/brevo-smtp-test
		{at(brevo), auth, "535 5.7.8 Authentication failed", "smtp_credentials"},
		// marcpope/borgbackupserver/issues/16
		{at(brevo), auth, "535 5.7.0 Invalid login or password", "smtp_credentials"},
		// frappe/frappe/issues/38806
		{open(brevo), mail, "502 5.7.0 Please authenticate first", "login_missing"},
		// replies_test.go
		{at(brevo), dot, "502 5.7.0 Your SMTP account is not yet activated. Contact us at contact@brevo.com to request activation", "account_inactive"},
		// discourse, guide to sending over Mandrill
		{at(mandrill), auth, "435 4.7.8 Error: authentication failed:", "api_key"},
		// replies_test.go
		{at(mandrill), auth, "535 5.7.8 Error: authentication failed: authentication failure", "api_key"},
		// sefinek/Cloudflare-WAF-Expressions/issues/9
		{at(smtp2go), dot, "550 From header sender domain not verified (smtpservice.net)\nOn your Sending > Verified Senders page\nverify the sender domain or email to be allowed to send.", "sender_not_verified"},
		// gophish/gophish/issues/1701
		{at(smtp2go), rcpt, "550 that IP address is not allowed to send", "ip_not_allowed"},
		// useplunk/plunk/issues/164
		{at("smtp.useplunk.com"), mail, "550 This domain is not associated with your account", "sender_not_verified"},
		// postalserver/postal/issues/570
		{at("postal.op.test"), dot, "530 From/Sender name is not valid", "sender_not_verified"},

		// Servers that operators run themselves.
		// replies_test.go (Postfix)
		{at(own), auth, "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6", "auth_rejected"},
		// PHPMailer/PHPMailer/issues/1074 (Exim)
		{at(own), auth, "535 Incorrect authentication data", "auth_rejected"},
		// nodemailer/nodemailer/issues/18 (Exim)
		{at(own), auth, "503 AUTH command used when not advertised", "auth_not_offered"},
		// sandstorm-io/sandstorm/issues/2876
		{at(own), auth, "502 5.5.2 Syntax error, command unrecognized.", "auth_mechanism"},
		// RFC 2554, RFC 4954 section 6
		{at(own), auth, "538 5.7.11 Encryption required for requested authentication mechanism", "auth_needs_tls"},
		// sisimai/p5-sisimai/issues/129 (RFC 4954)
		{at(own), auth, "534 5.7.9 Authentication mechanism is too weak", "auth_mechanism"},
		// RFC 4954: one challenge too many
		{at(own), auth, "334 d2hhdD8=", "auth_mechanism"},
		// docker-mailserver/docker-mailserver/issues/385 (Postfix)
		{open(own), rcpt, "554 5.7.1 <test@example.com>: Relay access denied", "login_missing"},
		// the same, with a login
		{at(own), rcpt, "554 5.7.1 <test@example.com>: Relay access denied", "relay_denied"},
		// public mail logs (cPanel, Exim)
		{open(own), rcpt, "550 SMTP AUTH is required for message submission on port 587", "login_missing"},
		// 4IceG/luci-app-sms-tool-js/issues/45
		{open(own), mail, "550 Authentication is required for relay", "login_missing"},
		// Mailu/Mailu/issues/3818
		{open(own), mail, "530 5.7.0 Authentication required", "login_missing"},
		// docker-mailserver/docker-mailserver/issues/1168 (Postfix)
		{at(own), rcpt, "553 5.7.1 <sender@example.com>: Sender address rejected: not owned by user other@example.com", "sender_not_own"},
		// gist.github.com/grantpullen/0e2d5ef960dfae70072e9d36b051c703
		{at(own), mail, "550 Your FROM address ( example.com , ) must match your authenticated email domain ( example.com ). Treating this as a spoofed email.", "sender_not_own"},
		// replies_test.go (Postfix)
		{at(own), rcpt, "550 5.1.8 <a@example.com>: Sender address rejected: Domain not found", "sender_domain"},
		// docker-mailserver/docker-mailserver/issues/2257
		{at(own), rcpt, "550 Verification failed for <user@example.com>\nThe mail server does not recognize user@example.com as a valid\nsender.\nSender verify failed", "sender_refused"},
		// replies_test.go (Postfix)
		{at(own), rcpt, "550 5.1.1 <x@example.com>: Recipient address rejected: User unknown in local recipient table", "recipient_refused"},
		// replies_test.go
		{at(own), rcpt, "552 5.2.2 <x@icloud.com>: user is over quota", "mailbox_full"},
		// replies_test.go (Postgrey)
		{at(own), rcpt, "450 4.2.0 <x@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html", "greylisted"},
		// replies_test.go (Postfix)
		{at(own), rcpt, "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org", "ip_blocklisted"},
		{at(own), mail, "552 5.3.4 Message size exceeds fixed limit", "size"},
		{at(own), hello, "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", "hello_refused"},
		// groovemonkey/hands_on_linux-self_hosted_wordpress_for_linux_beginners/issues/3 (cPanel, Exim)
		{at(own), hello, "550 Access denied - Invalid HELO name", "hello_refused"},
		// Postfix, smtpd.c
		{at(own), stls, "454 4.7.0 TLS not available due to local problem", "tls_unavailable"},
		// replies_test.go (Postfix)
		{at(own), stls, "502 5.5.1 Error: command not implemented", "starttls_missing"},
		// RFC 5321 section 4.2.3
		{at(own), greet, "554 5.7.1 No SMTP service here", "greeting_refused"},
		{at(own), greet, "421 4.3.2 Service not available, closing transmission channel", "server_busy"},
		// replies_test.go (cPanel)
		{at(own), rcpt, "550 Domain example.com has exceeded the max emails per hour (101/100 (101%)) allowed.  Message discarded.", "quota"},
		// replies_test.go (Gmail)
		{at(own), dot, "550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's\nDMARC policy.", "domain_authentication"},
		// replies_test.go (GMX)
		{at(own), dot, "554 Transaction failed Reject due to policy restrictions. For explanation visit https://postmaster.gmx.net/en/error-messages", "policy_refused"},
		// replies_test.go (Exim)
		{at(own), rcpt, "451 Temporary local problem - please try later", "refused_for_now"},
		// smtpc/send.go: said without asking the server
		{at(own), mail, "550 5.6.11 message has a bare CR, bare LF or NUL and was not sent", "message_refused"},
		{at(own), rcpt, "550 5.6.7 address or header needs SMTPUTF8, which the server does not offer", "smtputf8_missing"},
		{at(own), rcpt, "553 5.1.3 recipient address cannot be sent", "recipient_refused"},
		{at(own), mail, "552 5.3.4 message of 900 bytes is over the server's limit of 500", "size"},
	}
	for _, tt := range tests {
		t.Run(tt.server.Host+" "+string(tt.phase)+" "+tt.reply[:min(40, len(tt.reply))], func(t *testing.T) {
			t.Parallel()
			first, rest, _ := strings.Cut(tt.reply, "\n")
			said := reply(t, first)
			said.Text = strings.TrimSpace(said.Text + "\n" + rest)
			cause := rules.Classify(classify.Input{Phase: tt.phase, Reply: said, Route: relay}).Cause
			f := classify.Failure{Phase: tt.phase, Reply: said, Cause: cause, Route: relay, Server: tt.server}
			if got := classify.Advise(f); got.Code != tt.want {
				t.Errorf("%q at %s:\n got %s\nwant %s", tt.reply, tt.phase, got.Code, tt.want)
			}
		})
	}
}

// The recipient's server speaks to the platform: nothing in the operator's settings of an
// own server has to do with it.
func TestAdviceForTheBuiltinGateway(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	for _, tt := range []struct {
		phase waypost.Phase
		reply string
		want  string
	}{
		{rcpt, "550 5.1.1 The email account that you tried to reach does not exist.", "recipient_refused"},
		{rcpt, "554 5.7.1 <x@example.org>: Relay access denied", "recipient_domain"},
		{rcpt, "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org", "platform_blocklisted"},
		{dot, "550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy.", "domain_authentication"},
		{rcpt, "450 4.2.0 Greylisted", "greylisted"},
		{dot, "550 5.7.1 Gmail has detected that this message is likely unsolicited mail.", "spam_refused"},
		{rcpt, "550 Sender verify failed", "sender_disliked"},
		{auth, "535 5.7.8 no", "platform_relay"},
		{rcpt, "550 5.4.5 Daily SMTP relay limit exceeded for user.", "platform_relay"},
		{waypost.PhaseDNS, "556 5.1.10 the domain accepts no mail (null MX)", "recipient_domain"},
		{rcpt, "552 5.2.2 mailbox full", "mailbox_full"},
		{greet, "554 no", "recipient_server"},
		{dot, "554 no", "message_refused"},
		{dot, "451 Temporary local problem - please try later", "refused_for_now"},
	} {
		for _, route := range []waypost.RouteKind{direct, up} {
			f := classify.Failure{Phase: tt.phase, Reply: reply(t, tt.reply), Route: route, Server: at("smtp.gmail.com")}
			f.Cause = rules.Classify(classify.Input{Phase: f.Phase, Reply: f.Reply, Route: f.Route}).Cause
			if got := classify.Advise(f); got.Code != tt.want {
				t.Errorf("%s %q over %s: %s, want %s", tt.phase, tt.reply, route, got.Code, tt.want)
			}
		}
	}
}
