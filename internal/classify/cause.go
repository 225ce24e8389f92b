package classify

// Cause is why a mail was not delivered. The values are stored and shown: they are
// added to, never renamed.
type Cause string

// The causes.
const (
	BadMailbox    Cause = "bad_mailbox"    // no such mailbox, disabled, moved
	BadDomain     Cause = "bad_domain"     // the domain takes no mail, or does not exist
	MailboxFull   Cause = "mailbox_full"   // over the recipient's quota
	Reputation    Cause = "reputation"     // our address or domain is blocked or distrusted
	Content       Cause = "content"        // taken for spam, a virus, a forbidden attachment
	Policy        Cause = "policy"         // the recipient's rules: DMARC, SPF, who may write
	Rate          Cause = "rate"           // too much at once: mails, connections, recipients
	TooBig        Cause = "too_big"        // over a size limit
	TLS           Cause = "tls"            // encryption missing, broken, or a bad certificate
	Timeout       Cause = "timeout"        // no answer in time
	Auth          Cause = "auth"           // login at the relay
	RelayDenied   Cause = "relay_denied"   // the server does not deliver there for us
	SenderRefused Cause = "sender_refused" // the sender address may not be used, or is disliked
	Quota         Cause = "quota"          // our own limit at the relay is used up
	DNS           Cause = "dns"            // names could not be resolved
	Connect       Cause = "connect"        // no connection, or it was lost
	Greylist      Cause = "greylist"       // come back later, on principle
	Protocol      Cause = "protocol"       // one side does not understand the other
	Unknown       Cause = "unknown"
)

// Causes lists all causes in the order of the constants.
func Causes() []Cause {
	return []Cause{
		BadMailbox, BadDomain, MailboxFull, Reputation, Content, Policy, Rate, TooBig, TLS, Timeout,
		Auth, RelayDenied, SenderRefused, Quota, DNS, Connect, Greylist, Protocol, Unknown,
	}
}

// Blame is who has to change something for the next mail to fare better.
type Blame string

// Who can be blamed.
const (
	BlameRecipient Blame = "recipient"
	BlameMessage   Blame = "message"
	BlameUs        Blame = "us"
	BlameRoute     Blame = "route" // the path: the network, the relay, the receiving server
)

// Blame returns who is behind a cause.
func (c Cause) Blame() Blame {
	switch c {
	case BadMailbox, BadDomain, MailboxFull:
		return BlameRecipient
	case Content, TooBig:
		return BlameMessage
	case Reputation, Policy, Auth, RelayDenied, SenderRefused, Quota:
		return BlameUs
	case Rate, TLS, Timeout, DNS, Connect, Greylist, Protocol, Unknown:
		return BlameRoute
	}
	return BlameRoute
}

// Explain says in one sentence for people what a cause means and what to do.
func (c Cause) Explain() string {
	switch c {
	case BadMailbox:
		return "The recipient's address does not exist or is switched off; check it for typing errors."
	case BadDomain:
		return "The recipient's domain does not exist or takes no mail; check the part behind the @."
	case MailboxFull:
		return "The recipient's mailbox is full; only the recipient can make room."
	case Reputation:
		return "The receiving server distrusts the address or domain this mail comes from; check block lists and sending reputation."
	case Content:
		return "The receiving server took the mail for spam or for dangerous; change its text, links or attachments."
	case Policy:
		return "The recipient's rules forbid this mail; check SPF, DKIM and DMARC of the sender's domain, or ask the recipient's administrator."
	case Rate:
		return "The receiving server takes no more mail from us for the moment; it is tried again more slowly."
	case TooBig:
		return "The mail is larger than the receiving server accepts; send a smaller attachment or a link."
	case TLS:
		return "No encrypted connection could be agreed on; check the server's certificate, its name and the chosen security."
	case Timeout:
		return "The server did not answer in time; it may be overloaded, or a firewall swallows the connection."
	case Auth:
		return "The SMTP server refused the login; check user name, password and whether the account may send by SMTP."
	case RelayDenied:
		return "The SMTP server does not relay mail to this recipient for us; check the login and its permissions."
	case SenderRefused:
		return "The SMTP server does not allow this sender address; use one that belongs to the account or verify it with the provider."
	case Quota:
		return "The sending limit of the account at the SMTP server is used up; wait, or raise the limit with the provider."
	case DNS:
		return "The domain's mail servers could not be looked up; this is usually temporary."
	case Connect:
		return "No connection to the server could be made, or it was lost; check host and port, or wait."
	case Greylist:
		return "The receiving server asks unknown senders to come back later; it is tried again."
	case Protocol:
		return "The server's answer was not what the mail protocol allows."
	case Unknown:
		return "The server gave no reason that we recognize; its own words are the best hint."
	}
	return ""
}
