package classify

// Fields of the settings page.
const (
	fieldHost     = "gateway.host"
	fieldPort     = "gateway.port"
	fieldSecurity = "gateway.security"
	fieldTrust    = "gateway.trust_all"
	fieldLogin    = "gateway.auth.username"
	fieldPassword = "gateway.auth.password" //nolint:gosec // the name of a field
	fieldFrom     = "from"
	fieldTo       = "to"
)

// Advices lists all advice, in the order in which a mail meets what it is about. The codes
// are shown and translated: they are added to, never renamed.
func Advices() []Advice {
	return []Advice{
		// Before anything was dialed.
		{"not_sent", "The mail was not sent, for a reason that lies with this server. Try again in a few minutes; if it stays so, tell the owner of the platform.", ""},
		{"settings_missing", "There are no settings of an SMTP server to send with. Fill in Host, Port and Security and save them.", fieldHost},
		{"sender_of_platform", "Addresses of the platform do not leave through your own server. Enter an address of your own as Sender address.", fieldFrom},
		{"not_signed", "The mail could not be signed, and unsigned it does not leave. Nothing in your settings causes this; tell the owner of the platform.", ""},

		// The name and the connection.
		{"host_unknown", "The DNS does not know this server name. Check Host for typing errors; it is the name of the SMTP server, not of a website or mailbox.", fieldHost},
		{"dns_failed", "The server name could not be looked up at the moment. Check Host, and test again in a few minutes.", fieldHost},
		{"host_private", "Host leads to an address that is not on the public Internet, and such addresses are not contacted from here. Enter the public name of the server, or ask the owner of the platform to allow it.", fieldHost},
		{"host_self", "Host leads back to this gateway itself. Enter your own SMTP server, or choose the built-in gateway.", fieldHost},
		{"port_not_allowed", "This port is not allowed here. Choose Port 587 with Security STARTTLS, or Port 465 with Security TLS.", fieldPort},
		{"connection_refused", "The server is there, but nothing listens on this port. Check Host and Port: 587 goes with Security STARTTLS, 465 with TLS.", fieldPort},
		{"timeout_connect", "The server did not answer on this port in time: Host or Port is wrong, or a firewall on the way blocks it. Check both, or try another port that your provider names (587, 465, 2525).", fieldPort},
		{"port25_blocked", "Nothing answered on port 25, which many networks block against spam. Use Port 587 with Security STARTTLS, or Port 465 with Security TLS.", fieldPort},
		{"port_blocked", "The network has no way to this server or forbids it. Check Host; if it is right, a firewall is in between: try another Port, or ask the owner of the platform.", fieldPort},
		{"connect_failed", "No connection to the server could be made. Check Host and Port, and whether the server is running.", fieldHost},

		// The greeting.
		{"plain_port_with_tls", "Port 465 expects TLS from the first byte, so the server did not greet. Choose Security TLS, or Port 587 with STARTTLS.", fieldSecurity},
		{"not_smtp", "What answers on this port does not speak SMTP as a mail server does. Check Host and Port.", fieldPort},
		{"timeout_greeting", "The server took the connection but did not greet. Check Port; if the port is one for TLS, choose Security TLS.", fieldPort},
		{"greeting_closed", "The server hung up before it greeted. It may expect TLS on this port (choose Security TLS), or block the address of this gateway: ask its administrator.", fieldSecurity},
		{"greeting_refused", "The server refused to talk to us at all; its own words say why. Often it takes connections from certain addresses only: ask its administrator.", ""},
		{"hello_refused", "The server does not accept the name that this gateway introduces itself with. Ask the server's administrator to allow it, or tell the owner of the platform.", ""},

		// TLS.
		{"tls_on_wrong_port", "Security is TLS, but on this port the server does not begin with TLS. Choose Security STARTTLS (usual on port 587), or Port 465 with TLS.", fieldSecurity},
		{"starttls_missing", "The server does not offer STARTTLS on this port. Choose Port 465 with Security TLS, or ask the provider for its port with encryption.", fieldSecurity},
		{"tls_unavailable", "The server offers STARTTLS but refused to start it, which is a fault on its side. Try Port 465 with Security TLS, or ask its administrator.", fieldSecurity},
		{"tls_intercepted", "Something on the way interferes with STARTTLS, often a firewall or virus scanner that inspects mail. Choose Port 465 with Security TLS.", fieldSecurity},
		{"certificate_name", "The server's certificate is for another name. Enter in Host the name that the certificate is for, not an IP address or alias, or have the certificate renewed with this name.", fieldHost},
		{"certificate_expired", "The server's certificate has expired or is not valid yet. Its administrator has to renew it.", fieldHost},
		{"certificate_unknown", "The server's certificate does not come from a known authority. Have a public one installed; only if it is your own server and you trust the network up to it, switch on Trust any certificate.", fieldTrust},
		{"certificate_bad", "The server's certificate is not valid; the stage TLS says why. Its administrator has to replace it.", fieldTrust},
		{"tls_client_certificate", "The server asks us for a certificate, which is not supported. Ask the provider for a server with login by user name and password.", fieldHost},
		{"tls_outdated", "The server and this gateway found no common version of TLS; at least TLS 1.2 is needed. The server's administrator has to switch it on.", fieldSecurity},
		{"tls_failed", "The encrypted connection could not be set up. Check that Security fits the Port: TLS with 465, STARTTLS with 587.", fieldSecurity},

		// Login.
		{"auth_needs_tls", "The server takes a login or mail on encrypted connections only. Choose Security STARTTLS with Port 587, or TLS with Port 465.", fieldSecurity},
		{"auth_not_offered", "The server offers no login by user name and password on this port. Try Port 587 or 465; if that is what you have, the provider wants OAuth, or the server wants no login at all: then leave Login empty.", fieldLogin},
		{"auth_mechanism", "The server does not accept the way in which we log in (PLAIN, LOGIN, CRAM-MD5). Ask the provider to allow one of them for this account.", fieldLogin},
		{"auth_temporary", "The server could not check the login at the moment. Test again in a few minutes; if it stays so, check Login and Password.", fieldPassword},
		{"auth_rejected", "The server refused the login. Check Login and Password; the Login is often the full e-mail address, and the account must be allowed to send by SMTP.", fieldPassword},
		{"password_missing", "Login or Password is empty or has characters that cannot be sent. Enter both again.", fieldPassword},
		{"app_password", "The login was refused: this provider does not take the account's own password. Create an app password in the account's security settings (2-step verification may be needed) and enter it as Password.", fieldPassword},
		{"api_key", "The login was refused: this provider takes an API key or token as Password, not that of the account. Check that it is complete, active and allowed to send, and that Login is what the provider asks for.", fieldPassword},
		{"smtp_credentials", "The login was refused: this provider wants the SMTP user and SMTP password from its console, for this region, not those of the account or an API key. Enter them as Login and Password.", fieldPassword},
		{"office365_smtp_auth_disabled", "Microsoft 365 has authenticated SMTP switched off for this mailbox or organization. An administrator has to switch it on: Users, the mailbox, Mail, Manage email apps, Authenticated SMTP.", fieldLogin},
		{"office365_policy", "Microsoft 365 blocked the login by a rule of the organization: security defaults or conditional access. Its administrator has to make an exception for this mailbox.", fieldLogin},
		{"office365_login", "Microsoft 365 refused the login. Check Login and Password, and have an administrator check that Authenticated SMTP is switched on for the mailbox.", fieldPassword},
		{"oauth_required", "This provider does not accept passwords for SMTP any more, only OAuth, which is not supported here; app passwords fail too. Ask the provider's administrator, or choose another provider.", fieldHost},
		{"mailbox_access_off", "The mailbox does not let mail programs in. Switch on access for mail programs (IMAP, SMTP) in its settings and use an app password as Password.", fieldLogin},
		{"browser_login", "The provider wants to be sure who you are. Sign in to the account with a web browser, confirm what it asks, and test again; an app password may be needed as Password.", fieldLogin},
		{"account_locked", "The account is locked after too many wrong logins or by its administrator. Have it unlocked, then check Login and Password before you test again.", fieldLogin},
		{"login_throttled", "The server takes no more logins for the moment, after too many. Wait, check Login and Password, and test once.", fieldPassword},
		{"account_inactive", "The account at the provider is not active: not yet approved, suspended or switched off. Sign in there and follow what it says, or ask its support.", fieldLogin},
		{"account_sandbox", "The account is for tests and sends to registered recipients only. Add your own domain at the provider, or register this recipient there.", fieldTo},
		{"ip_not_allowed", "The provider lets in listed IP addresses only. Add the public address of this gateway to the allowed addresses in the provider's settings; the owner of the platform knows it.", ""},
		{"login_missing", "The server wants a login before it takes mail. Fill in Login and Password.", fieldLogin},

		// The sender.
		{"sender_not_own", "The account may not send with this address. Enter the address of the account that logs in as Sender address, or let the provider allow this one.", fieldFrom},
		{"sender_not_verified", "The provider does not know this sender yet. Verify its domain or address there (in the same region), or enter a verified address as Sender address.", fieldFrom},
		{"sender_blocked", "The provider has blocked this sender because of outgoing spam. Change the password of the mailbox, then have the block lifted by the provider.", fieldFrom},
		{"sender_domain", "The server did not find the domain of the sender, or found that it takes no mail. Check the Sender address for typing errors.", fieldFrom},
		{"sender_refused", "The server refused this sender. Enter an address that belongs to the account as Sender address; the server's own words may say more.", fieldFrom},
		{"sender_disliked", "The recipient's server refused the sender. Check that the Sender address exists and its domain can receive mail.", fieldFrom},
		{"domain_authentication", "The mail was refused because SPF, DKIM or DMARC of the sender's domain do not cover the server it came from. Set these DNS records, or use a Sender address of a domain that has them.", fieldFrom},
		{"relay_denied", "The login worked, but the server does not pass on mail to this recipient for us. Ask its administrator to let the account send to other domains.", fieldLogin},
		{"platform_relay", "The mail server behind the built-in gateway refused the mail for reasons of its own. Nothing in your settings causes this; tell the owner of the platform.", ""},

		// The recipient.
		{"recipient_refused", "The server refused the recipient. Check the address of the test mail for typing errors, or use another one.", fieldTo},
		{"recipient_inactive", "The provider sends nothing to this recipient any more, after a bounce or complaint. Take the address off its suppression list, or test with another one.", fieldTo},
		{"recipient_domain", "The recipient's domain does not exist or takes no mail. Check the part behind the @ in the address of the test mail.", fieldTo},
		{"recipient_dns", "The mail servers of the recipient's domain could not be looked up at the moment. Test again in a few minutes, or with another address.", fieldTo},
		{"recipient_server", "The recipient's mail server could not be reached or broke off. Test with an address elsewhere; if every one fails, outgoing port 25 may be blocked here: tell the owner of the platform.", fieldTo},
		{"mailbox_full", "The recipient's mailbox is full. Test with another address.", fieldTo},
		{"smtputf8_missing", "An address has letters outside English, and the server does not support that. Test with an address in plain letters.", fieldTo},

		// The mail and the moment.
		{"quota", "The sending limit of the account is used up. Wait until it is renewed, or raise it with the provider.", ""},
		{"server_busy", "The server takes no more mail from us at the moment. Wait a few minutes and test again.", ""},
		{"greylisted", "The server asks senders it does not know to come back later, which real mail does by itself. Test again in ten minutes.", ""},
		{"ip_blocklisted", "The server distrusts the IP address of this gateway: it is on a block list, or has no good name. Ask the server's administrator to let it in, and tell the owner of the platform.", ""},
		{"platform_blocklisted", "The recipient's server distrusts the IP address or domain that this platform sends from. Tell the owner of the platform, and test with another address.", ""},
		{"policy_refused", "The server refused the mail by a rule of its own; its words say which. Ask its administrator, or test with another address.", ""},
		{"spam_refused", "The server took the mail for spam or for dangerous. Check the signature for links and the Sender address for its reputation.", fieldFrom},
		{"size", "The mail is larger than the server accepts. Make the signature shorter; real mail must stay below the same limit.", ""},
		{"message_refused", "The server refused the mail and gave no reason that we recognize. Its own words are the best hint; ask its administrator.", ""},
		{"refused_for_now", "The server refused the mail for now and gave no reason that we recognize. Test again in a few minutes; its own words are the best hint.", ""},
		{"no_answer", "The server had the whole mail but did not confirm it, so it may arrive all the same. Look into the mailbox before you test again.", ""},
		{"server_silent", "The server stopped answering in the middle of the conversation. Test again; if it stays so, ask its administrator.", fieldHost},
		{"connection_lost", "The server hung up in the middle of the conversation. Test again; if it stays so, it may block this gateway: ask its administrator.", fieldHost},
		{"unknown", "The test mail failed, and nothing says at what. Test again, and look at the stages.", ""},
	}
}
