package provider

// Note is something a provider wants that no field of the form says. The values are
// stable: translations go by them.
type Note string

// The notes.
const (
	NoteAppPassword       Note = "app_password"
	NoteTwoStep           Note = "two_step_verification"
	NoteAPIKey            Note = "api_key_as_password" //nolint:gosec // says that one is wanted
	NoteSMTPCredentials   Note = "smtp_credentials"
	NoteSenderIsLogin     Note = "sender_must_match_login"
	NoteSenderVerified    Note = "sender_domain_verified"
	NoteSMTPAuthEnabled   Note = "smtp_auth_enabled_by_admin"
	NoteRelayEnabled      Note = "smtp_relay_enabled_by_admin"
	NoteMailProgramsOn    Note = "mail_programs_enabled"
	NoteIPAllowlist       Note = "ip_allowlist"
	NoteOAuthSoon         Note = "oauth_only_soon"
	NoteOAuthOnly         Note = "oauth_only"
	NoteRegion            Note = "region_of_account"
	NotePlan              Note = "host_by_plan"
	NoteSandbox           Note = "sandbox_until_approved"
	NoteDailyLimit        Note = "low_daily_limit"
	NoteTransactionalOnly Note = "transactional_only"
	NoteStartTLSOnly      Note = "starttls_only"
	NoteAskAdministrator  Note = "ask_administrator"
)

// Notes lists all notes in the order of the constants.
func Notes() []Note {
	return []Note{
		NoteAppPassword, NoteTwoStep, NoteAPIKey, NoteSMTPCredentials, NoteSenderIsLogin, NoteSenderVerified,
		NoteSMTPAuthEnabled, NoteRelayEnabled, NoteMailProgramsOn, NoteIPAllowlist, NoteOAuthSoon, NoteOAuthOnly,
		NoteRegion, NotePlan, NoteSandbox, NoteDailyLimit, NoteTransactionalOnly, NoteStartTLSOnly, NoteAskAdministrator,
	}
}

// Text says a note in English, "" for one that does not exist.
func (n Note) Text() string {
	switch n {
	case NoteAppPassword:
		return "The account's own password does not work here. Create an app password in the account's security settings and enter that."
	case NoteTwoStep:
		return "App passwords exist only while 2-step verification is switched on for the account."
	case NoteAPIKey:
		return "The password is an API key or token of the provider, not the password of the account."
	case NoteSMTPCredentials:
		return "User name and password are made for SMTP in the provider's console. The password of the account and keys for its API do not work."
	case NoteSenderIsLogin:
		return "The sender address has to be the address of the account that logs in, or an alias of it."
	case NoteSenderVerified:
		return "The sender's domain, or the sender address itself, has to be verified with the provider first."
	case NoteSMTPAuthEnabled:
		return "An administrator has to allow authenticated SMTP for the mailbox; for newer organizations it is switched off."
	case NoteRelayEnabled:
		return "An administrator has to set up the SMTP relay service first and say who may use it."
	case NoteMailProgramsOn:
		return "Access for mail programs has to be switched on in the settings of the mailbox."
	case NoteIPAllowlist:
		return "The provider may let in listed IP addresses only: add the public address of this server there."
	case NoteOAuthSoon:
		return "The provider is about to stop accepting passwords for SMTP. Plan for another way to send."
	case NoteOAuthOnly:
		return "The provider accepts no passwords for SMTP any more, only OAuth 2.0, which is not supported here. Choose another provider."
	case NoteRegion:
		return "Choose the region in which the account or domain was created. Elsewhere the login is refused."
	case NotePlan:
		return "The host depends on the plan of the account."
	case NoteSandbox:
		return "A new account may send to verified addresses only, until the provider has lifted that."
	case NoteDailyLimit:
		return "Made for a person's mail: few messages a day are allowed. Not for many notifications."
	case NoteTransactionalOnly:
		return "For single messages such as notifications; bulk mail has a server or stream of its own."
	case NoteStartTLSOnly:
		return "There is no port with TLS from the start; port 465 does not answer."
	case NoteAskAdministrator:
		return "Ask the server's administrator for host, port, security and login."
	}
	return ""
}
