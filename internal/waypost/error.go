package waypost

import (
	"errors"
	"time"
)

// ErrorKind says what sort of refusal an error is. Each protocol maps the kinds
// to its own answers in exactly one place (smtpd, api); anything that carries no
// kind is Internal there, is logged whole, and tells the client nothing.
type ErrorKind int

// The kinds. Every one that blames the moment rather than the request
// (RateLimited, NoGateway, StorageFull, Unavailable, Internal) is temporary.
const (
	Internal        ErrorKind = iota // our fault; details stay in the log
	Invalid                          // the request can never be accepted as it is
	Unauthenticated                  // who are you?
	Forbidden                        // known, but not allowed
	NotFound                         // no such thing for this principal
	Conflict                         // contradicts what is stored
	TooLarge                         // over a size or count limit
	RateLimited                      // too much at once: come back later
	NoGateway                        // the operator has no gateway bound
	StorageFull                      // the disk reserve is reached
	Unavailable                      // shutting down, database away
)

func (k ErrorKind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case Unauthenticated:
		return "unauthenticated"
	case Forbidden:
		return "forbidden"
	case NotFound:
		return "not_found"
	case Conflict:
		return "conflict"
	case TooLarge:
		return "too_large"
	case RateLimited:
		return "rate_limited"
	case NoGateway:
		return "no_gateway"
	case StorageFull:
		return "storage_full"
	case Unavailable:
		return "unavailable"
	default:
		return "internal"
	}
}

// Error is a refusal that the one who asked may read. Message is written for
// people and holds no secret; Err is the internal cause and never leaves the log.
type Error struct {
	Kind    ErrorKind
	Code    string // stable machine-readable detail, e.g. "from_not_allowed"; Kind's name if empty
	Field   string // the request field at fault, dotted ("gateway.auth.password"), or ""
	Message string
	SMTP    string        // enhanced status code (RFC 3463) when the kind's own is too coarse, e.g. "5.6.11"
	After   time.Duration // when trying again may help; 0 for soon, if the kind is temporary
	Err     error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// NewError returns an Error of a kind with a code and a message for people.
func NewError(kind ErrorKind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// FieldError returns an Invalid error that points at a request field.
func FieldError(field, message string) *Error {
	return &Error{Kind: Invalid, Code: "invalid", Field: field, Message: message}
}

// KindOf returns the kind of the first Error in err's chain, Internal if none.
func KindOf(err error) ErrorKind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// AsError returns the first Error in err's chain, or an Internal one that hides
// err behind a neutral message.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Code: "internal", Message: "internal error", Err: err}
}
