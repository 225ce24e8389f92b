package classify

// Class is the sort of a cause: the small set that people count by and programs decide
// by. The values are documented in docs/api.md; they are added to, never renamed.
type Class string

// The classes.
const (
	ClassBadMailbox  Class = "bad_mailbox"
	ClassBadDomain   Class = "bad_domain"
	ClassMailboxFull Class = "mailbox_full"
	ClassReputation  Class = "reputation"
	ClassContent     Class = "content"
	ClassPolicy      Class = "policy" // and authentication: SPF, DKIM, DMARC, login, relay, sender
	ClassRate        Class = "rate"
	ClassTooBig      Class = "too_big"
	ClassTLS         Class = "tls"
	ClassTimeout     Class = "timeout" // and no connection
	ClassUnknown     Class = "unknown"
)

// Classes lists all classes in the order of the constants.
func Classes() []Class {
	return []Class{
		ClassBadMailbox, ClassBadDomain, ClassMailboxFull, ClassReputation, ClassContent, ClassPolicy, ClassRate,
		ClassTooBig, ClassTLS, ClassTimeout, ClassUnknown,
	}
}

// Class returns the class of a cause.
func (c Cause) Class() Class {
	switch c {
	case BadMailbox:
		return ClassBadMailbox
	case BadDomain:
		return ClassBadDomain
	case MailboxFull:
		return ClassMailboxFull
	case Reputation:
		return ClassReputation
	case Content:
		return ClassContent
	case Policy, Auth, RelayDenied, SenderRefused:
		return ClassPolicy
	case Rate, Quota:
		return ClassRate
	case TooBig:
		return ClassTooBig
	case TLS:
		return ClassTLS
	case Timeout, Connect:
		return ClassTimeout
	case DNS, Greylist, Protocol, Unknown:
		return ClassUnknown
	}
	return ClassUnknown
}
