package dns

import "errors"

// Failure is the way a lookup failed.
type Failure string

// The failures. The first three are certain; all others are temporary, because
// they say something about the servers or the path and nothing about the name.
const (
	NXDomain  Failure = "nxdomain"   // the name does not exist (RFC 8020)
	NoData    Failure = "nodata"     // the name exists, a record of this type does not (RFC 2308)
	BadName   Failure = "bad_name"   // not a domain name, nothing was asked
	ServFail  Failure = "servfail"   // the server could not find out
	Refused   Failure = "refused"    // the server does not want to answer us
	Lame      Failure = "lame"       // the server neither knows nor asks others
	Malformed Failure = "malformed"  // the answer made no sense
	Loop      Failure = "cname_loop" // CNAMEs in a circle, or too many of them
	Timeout   Failure = "timeout"    // no answer in time
	Network   Failure = "network"    // the server could not be reached
	Canceled  Failure = "canceled"   // the caller gave up

	// Of authoritative servers only.
	NoZone     Failure = "no_zone"     // the zone of the name, or its servers, could not be found
	NoAddress  Failure = "no_address"  // the name of the server has no address
	NotAllowed Failure = "not_allowed" // the address of the server must not be dialed
	TooMany    Failure = "too_many"    // the answer would take more questions than are allowed
)

func (f Failure) text() string {
	switch f {
	case NXDomain:
		return "no such domain"
	case NoData:
		return "no such record"
	case BadName:
		return "not a domain name"
	case ServFail:
		return "server failure"
	case Refused:
		return "query refused"
	case Lame:
		return "server does not know and does not ask others"
	case Malformed:
		return "malformed answer"
	case Loop:
		return "CNAME loop"
	case Timeout:
		return "no answer in time"
	case Network:
		return "server not reachable"
	case Canceled:
		return "lookup canceled"
	case NoZone:
		return "zone not found"
	case NoAddress:
		return "server name without address"
	case NotAllowed:
		return "server address not allowed"
	case TooMany:
		return "too many questions"
	default:
		return string(f)
	}
}

// Error is a lookup that gave no record.
type Error struct {
	Name    string // the name asked for, as the caller wrote it
	Type    string // "MX", "A", "AAAA", "TXT"
	Failure Failure
	Server  string // host:port, or the name of an authoritative server, that was asked last; "" if none was
	Err     error  // what lies behind it, or nil
}

func (e *Error) Error() string {
	s := "DNS " + e.Type + " lookup of " + e.Name + ": " + e.Failure.text()
	if e.Server != "" && e.Temporary() {
		s += " (" + e.Server + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// NotFound reports that the DNS said for certain that there is no such record:
// NXDOMAIN or NODATA.
func (e *Error) NotFound() bool { return e.Failure == NXDomain || e.Failure == NoData }

// Temporary reports that the same question may be answered later.
func (e *Error) Temporary() bool { return !e.NotFound() && e.Failure != BadName }

// IsNotFound reports whether err says for certain that there is no such record.
func IsNotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.NotFound()
}

// IsTemporary reports whether err may go away by itself. That is so for every
// error but a certain one (an *Error that is not temporary, a *DestinationError):
// unknown means temporary.
func IsTemporary(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*DestinationError](err); ok {
		return false
	}
	e, ok := errors.AsType[*Error](err)
	return !ok || e.Temporary()
}
