package provider

import "github.com/waypost/waypost/internal/waypost"

const (
	startTLS = waypost.SecurityStartTLS
	tls      = waypost.SecurityTLS

	checked = "2026-11-23"
)

// All lists the presets in the order to show them. The last is for other servers.
func All() []Preset {
	all := mailboxes()
	all = append(all, services()...)
	return append(all, Preset{
		ID: OtherID, Name: "Other SMTP server", Port: 587, Security: startTLS, Other: []Endpoint{{465, tls}},
		Username: UsernameOwn, Notes: []Note{NoteAskAdministrator},
	})
}

// mailboxes are providers of mailboxes for people and companies, which send as well. The
// pages of Yahoo, Zoho, Yandex and Mail.ru themselves were not at hand when the values were
// checked: theirs are from copies of the pages, and from programs that cite them.
func mailboxes() []Preset {
	return []Preset{
		{
			// Passwords of accounts have been refused since May 2025; app passwords remain,
			// and need 2-step verification (support.google.com/accounts/answer/185833).
			ID: "gmail", Name: "Gmail", Host: "smtp.gmail.com", Port: 465, Security: tls, Other: []Endpoint{{587, startTLS}},
			Username: UsernameAddress, Login: "you@gmail.com",
			Notes:   []Note{NoteAppPassword, NoteTwoStep, NoteSenderIsLogin, NoteDailyLimit},
			Docs:    "https://developers.google.com/workspace/gmail/imap/imap-smtp",
			Checked: checked, hosts: []string{"smtp.googlemail.com"},
		},
		{
			// With TLS the documentation wants port 587. Who may relay is decided by address, by
			// login, or both: the user name is needed only in the latter cases.
			ID: "google_workspace_relay", Name: "Google Workspace SMTP relay", Host: "smtp-relay.gmail.com", Port: 587, Security: startTLS,
			Username: UsernameAddress, Login: "you@example.com",
			Notes:   []Note{NoteRelayEnabled, NoteIPAllowlist, NoteAppPassword, NoteTwoStep},
			Docs:    "https://support.google.com/a/answer/2956491",
			Checked: checked,
		},
		{
			// SMTP AUTH with a password works until the end of December 2026, when Microsoft
			// switches it off by default: administrators may switch it on again, tenants made
			// later may not. The day of its end is to be told in the second half of 2027
			// (Exchange team, 27 January 2026, which replaces "April 2026"). Port 465 is not
			// served.
			ID: "microsoft_365", Name: "Microsoft 365", Host: "smtp.office365.com", Port: 587, Security: startTLS,
			Username: UsernameAddress, Login: "you@example.com",
			Notes: []Note{NoteSMTPAuthEnabled, NoteSenderIsLogin, NoteOAuthSoon, NoteStartTLSOnly},
			Docs: "https://learn.microsoft.com/en-us/exchange/mail-flow-best-practices/" +
				"how-to-set-up-a-multifunction-device-or-application-to-send-email-using-microsoft-365-or-office-365",
			Checked: checked, hosts: []string{"smtp-legacy.office365.com", "outlook.office365.com"},
		},
		{
			// Kept so that people learn why it fails: "basic authentication is disabled" is the
			// answer to app passwords too, since September 2024.
			ID: "outlook_com", Name: "Outlook.com, Hotmail", Host: "smtp-mail.outlook.com", Port: 587, Security: startTLS,
			Username: UsernameAddress, Login: "you@outlook.com",
			Notes:   []Note{NoteOAuthOnly},
			Docs:    "https://support.microsoft.com/en-us/office/pop-imap-and-smtp-settings-for-outlook-com-d088b986-291d-42b8-9564-9c414e2aa040",
			Checked: checked, hosts: []string{"smtp.live.com"},
		},
		{
			ID: "yahoo", Name: "Yahoo Mail", Host: "smtp.mail.yahoo.com", Port: 465, Security: tls, Other: []Endpoint{{587, startTLS}},
			Username: UsernameAddress, Login: "you@yahoo.com",
			Notes:   []Note{NoteAppPassword, NoteSenderIsLogin, NoteDailyLimit},
			Docs:    "https://help.yahoo.com/kb/SLN4075.html",
			Checked: checked, hosts: []string{"*.mail.yahoo.com", "smtp.bizmail.yahoo.com"},
		},
		{
			// smtppro is for organizations that pay and have a domain of their own, smtp for
			// personal mailboxes. An app password is needed once two-factor login is on.
			ID: "zoho", Name: "Zoho Mail", Host: "smtppro.zoho.com", Port: 465, Security: tls, Other: []Endpoint{{587, startTLS}},
			Variants: zoho(),
			Username: UsernameAddress, Login: "you@example.com",
			Notes:   []Note{NoteRegion, NotePlan, NoteAppPassword, NoteSenderIsLogin},
			Docs:    "https://www.zoho.com/mail/help/zoho-smtp.html",
			Checked: checked, hosts: []string{"smtp.zoho.com.cn", "smtppro.zoho.com.cn", "smtp.zoho.sa", "smtppro.zoho.sa"},
		},
		{
			// A mailbox at yandex.com may log in by the part before the @ too; one at a domain
			// of its own has to give the whole address. Besides an app password, access "from
			// mail programs" has to be allowed in the settings of the mailbox.
			ID: "yandex", Name: "Yandex Mail", Host: "smtp.yandex.com", Port: 465, Security: tls,
			Variants: []Variant{{"com", "yandex.com", "smtp.yandex.com"}, {"ru", "yandex.ru", "smtp.yandex.ru"}},
			Username: UsernameAddress, Login: "you@yandex.com",
			Notes:   []Note{NoteAppPassword, NoteMailProgramsOn, NoteSenderIsLogin, NoteDailyLimit},
			Docs:    "https://yandex.com/support/yandex-360/customers/mail/en/mail-clients/others",
			Checked: checked, hosts: []string{"smtp.yandex.by", "smtp.yandex.kz", "smtp.yandex.com.tr"},
		},
		{
			// Passwords of accounts are refused: "Application password is REQUIRED"
			// (help.mail.ru/mail/security/protection/external).
			ID: "mail_ru", Name: "Mail.ru", Host: "smtp.mail.ru", Port: 465, Security: tls,
			Username: UsernameAddress, Login: "you@mail.ru",
			Notes:   []Note{NoteAppPassword, NoteSenderIsLogin, NoteDailyLimit},
			Docs:    "https://help.mail.ru/mail/mailer/popsmtp",
			Checked: checked,
		},
	}
}

// zoho lists its data centers, each with a host for either kind of plan.
func zoho() []Variant {
	return []Variant{
		{"us_pro", "United States, organization", "smtppro.zoho.com"},
		{"us", "United States, personal", "smtp.zoho.com"},
		{"eu_pro", "Europe, organization", "smtppro.zoho.eu"},
		{"eu", "Europe, personal", "smtp.zoho.eu"},
		{"in_pro", "India, organization", "smtppro.zoho.in"},
		{"in", "India, personal", "smtp.zoho.in"},
		{"au_pro", "Australia, organization", "smtppro.zoho.com.au"},
		{"au", "Australia, personal", "smtp.zoho.com.au"},
		{"jp_pro", "Japan, organization", "smtppro.zoho.jp"},
		{"jp", "Japan, personal", "smtp.zoho.jp"},
		{"ca_pro", "Canada, organization", "smtppro.zohocloud.ca"},
		{"ca", "Canada, personal", "smtp.zohocloud.ca"},
	}
}

// services are providers that send mail for programs.
func services() []Preset {
	return []Preset{
		{
			ID: "mandrill", Name: "Mailchimp Transactional (Mandrill)", Host: "smtp.mandrillapp.com", Port: 465, Security: tls,
			Other:    []Endpoint{{587, startTLS}, {2525, startTLS}},
			Username: UsernameAny, Notes: []Note{NoteAPIKey, NoteSenderVerified, NoteTransactionalOnly},
			Docs:    "https://mailchimp.com/developer/transactional/docs/smtp-integration/",
			Checked: checked,
		},
		{
			ID: "sendgrid", Name: "SendGrid", Host: "smtp.sendgrid.net", Port: 587, Security: startTLS,
			Other: []Endpoint{{465, tls}, {2525, startTLS}},
			Variants: []Variant{
				{"global", "Global", "smtp.sendgrid.net"},
				{"eu", "European Union", "smtp.eu.sendgrid.net"}, // for keys of regional subusers
			},
			Username: UsernameFixed, Login: "apikey", Notes: []Note{NoteAPIKey, NoteSenderVerified, NoteRegion},
			Docs:    "https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api",
			Checked: checked,
		},
		{
			// Every domain has credentials of its own, and lives in one region.
			ID: "mailgun", Name: "Mailgun", Host: "smtp.mailgun.org", Port: 587, Security: startTLS,
			Other:    []Endpoint{{465, tls}, {2525, startTLS}},
			Variants: []Variant{{"us", "United States", "smtp.mailgun.org"}, {"eu", "European Union", "smtp.eu.mailgun.org"}},
			Username: UsernameIssued, Login: "postmaster@mg.example.com",
			Notes:   []Note{NoteSMTPCredentials, NoteRegion, NoteSenderVerified, NoteSandbox},
			Docs:    "https://documentation.mailgun.com/docs/mailgun/user-manual/smtp-protocol/",
			Checked: checked,
		},
		{
			// The documentation calls TLS from the start the older way. Port 25 is throttled from
			// Amazon's own machines. SMTP credentials are derived from an IAM key for one region
			// and are not that key.
			ID: "amazon_ses", Name: "Amazon SES", Host: "email-smtp.us-east-1.amazonaws.com", Port: 587, Security: startTLS,
			Other:    []Endpoint{{465, tls}},
			Variants: ses(),
			Username: UsernameIssued, Notes: []Note{NoteSMTPCredentials, NoteRegion, NoteSenderVerified, NoteSandbox},
			Docs:    "https://docs.aws.amazon.com/ses/latest/dg/smtp-connect.html",
			Checked: checked, hosts: []string{"email-smtp.*.amazonaws.com", "email-smtp-fips.*.amazonaws.com"},
		},
		{
			// The second server is for the message stream of broadcasts.
			ID: "postmark", Name: "Postmark", Host: "smtp.postmarkapp.com", Port: 587, Security: startTLS,
			Other: []Endpoint{{2525, startTLS}},
			Variants: []Variant{
				{"transactional", "Transactional stream", "smtp.postmarkapp.com"},
				{"broadcast", "Broadcast stream", "smtp-broadcasts.postmarkapp.com"},
			},
			Username: UsernameToken, Notes: []Note{NoteAPIKey, NoteSenderVerified, NoteSandbox, NoteStartTLSOnly},
			Docs:    "https://postmarkapp.com/support/article/811-what-are-the-smtp-details-api-tokens-i-should-be-using",
			Checked: checked,
		},
		{
			// Port 587 offers STARTTLS as well, but the documentation calls it unencrypted and
			// names 465 for encryption. An account may block addresses it does not know (525).
			ID: "brevo", Name: "Brevo", Host: "smtp-relay.brevo.com", Port: 465, Security: tls, Other: []Endpoint{{587, startTLS}, {2525, startTLS}},
			Username: UsernameIssued, Notes: []Note{NoteSMTPCredentials, NoteIPAllowlist, NoteSenderVerified},
			Docs:    "https://developers.brevo.com/docs/smtp-integration",
			Checked: checked, hosts: []string{"smtp-relay.sendinblue.com"},
		},
		{
			ID: "smtp2go", Name: "SMTP2GO", Host: "mail.smtp2go.com", Port: 465, Security: tls, Other: []Endpoint{{587, startTLS}, {2525, startTLS}},
			Variants: []Variant{
				{"global", "Nearest", "mail.smtp2go.com"},
				{"us", "United States", "mail-us.smtp2go.com"},
				{"eu", "Europe and United Kingdom", "mail-eu.smtp2go.com"},
				{"eu_only", "European Union only", "mail-eu2.smtp2go.com"},
				{"au", "Australia", "mail-au.smtp2go.com"},
			},
			Username: UsernameIssued, Notes: []Note{NoteSMTPCredentials, NoteSenderVerified},
			Docs:    "https://developers.smtp2go.com/docs/smtp-relay",
			Checked: checked,
		},
	}
}

// ses lists the regions that Amazon's own program for making SMTP passwords knows to have
// an SMTP endpoint (docs.aws.amazon.com, "Generate credentials to connect to an Amazon SES
// SMTP endpoint"), without those for the government. ByHost knows any other by its form.
func ses() []Variant {
	region := func(id, name string) Variant { return Variant{id, name, "email-smtp." + id + ".amazonaws.com"} }
	return []Variant{
		region("us-east-1", "US East (N. Virginia)"),
		region("us-east-2", "US East (Ohio)"),
		region("us-west-2", "US West (Oregon)"),
		region("ca-central-1", "Canada (Central)"),
		region("sa-east-1", "South America (Sao Paulo)"),
		region("eu-central-1", "Europe (Frankfurt)"),
		region("eu-west-1", "Europe (Ireland)"),
		region("eu-west-2", "Europe (London)"),
		region("eu-south-1", "Europe (Milan)"),
		region("eu-north-1", "Europe (Stockholm)"),
		region("ap-south-1", "Asia Pacific (Mumbai)"),
		region("ap-northeast-2", "Asia Pacific (Seoul)"),
		region("ap-southeast-1", "Asia Pacific (Singapore)"),
		region("ap-southeast-2", "Asia Pacific (Sydney)"),
		region("ap-northeast-1", "Asia Pacific (Tokyo)"),
	}
}
