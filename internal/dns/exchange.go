package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

const udpSize = 1232 // what passes everywhere unfragmented (RFC 9715 section 3)

// exchanger puts questions to one server each.
type exchanger struct {
	timeout time.Duration // of one round trip
	recurse bool          // whether the server is to ask others (RFC 1034 section 4.3.1)
	dialer  *net.Dialer   // nil: a plain one
	spend   func() error  // counts a round trip, or forbids it; nil: all are allowed
}

// ask puts one question to one server. It returns what came back, good or bad, or
// why nothing did.
func (x *exchanger) ask(ctx context.Context, server string, q question) (*mdns.Msg, Failure, error) {
	query := x.query(q)
	query.SetEdns0(udpSize, false)
	msg, failure, err := x.roundTrip(ctx, "udp", server, query)
	if failure == "" && rejectsEDNS(msg.Rcode) {
		// RFC 6891 section 6.2.2: an old server is asked in the old way.
		query = x.query(q)
		msg, failure, err = x.roundTrip(ctx, "udp", server, query)
	}
	// RFC 7766 section 5: what does not fit comes over TCP; so does what arrived
	// garbled, often because it was cut.
	if failure == Malformed || (failure == "" && msg.Truncated) {
		garbled := failure == Malformed
		query.Id = mdns.Id()
		msg, failure, err = x.roundTrip(ctx, "tcp", server, query)
		switch {
		case failure != "" && !garbled:
			err = fmt.Errorf("%w: %w", errNoTCP, err)
		case (failure == Network || failure == Timeout) && ctx.Err() == nil:
			failure = Malformed // which is all that it ever said
		}
	}
	if failure != "" {
		return nil, failure, err
	}
	return msg, "", nil
}

// errNoTCP is in the error of an answer that was too large for UDP and did not come
// over TCP.
var errNoTCP = errors.New("over TCP")

func (x *exchanger) query(q question) *mdns.Msg {
	query := new(mdns.Msg)
	query.SetQuestion(q.name, q.qtype)
	query.RecursionDesired = x.recurse
	return query
}

func rejectsEDNS(rcode int) bool {
	return rcode == mdns.RcodeFormatError || rcode == mdns.RcodeNotImplemented || rcode == mdns.RcodeBadVers
}

// roundTrip sends a query and reads its answer, within the time of one try. Each
// has its own socket, and so its own random port (RFC 5452 section 9.2).
func (x *exchanger) roundTrip(ctx context.Context, network, server string, query *mdns.Msg) (*mdns.Msg, Failure, error) {
	if x.spend != nil {
		if err := x.spend(); err != nil {
			return nil, TooMany, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	client := &mdns.Client{Net: network, Timeout: x.timeout, Dialer: x.dialer}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, failureOfExchange(err), err
	}
	defer func() { _ = conn.Close() }()
	// The library obeys the deadline of ctx but not its cancellation.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	msg, _, err := client.ExchangeWithConnContext(ctx, query, conn)
	if err != nil {
		if ctx.Err() != nil {
			return nil, Timeout, ctx.Err()
		}
		return nil, failureOfExchange(err), err
	}
	if !answers(msg, query) {
		return nil, Malformed, errors.New("the answer is to another question")
	}
	return msg, "", nil
}

// answers checks what the library does not: that msg repeats the question (RFC
// 5452 section 9.1). A refusal may leave it out.
func answers(msg, query *mdns.Msg) bool {
	if !msg.Response || msg.Opcode != mdns.OpcodeQuery {
		return false
	}
	if len(msg.Question) == 0 {
		return msg.Rcode != mdns.RcodeSuccess && msg.Rcode != mdns.RcodeNameError
	}
	got, want := msg.Question[0], query.Question[0]
	return len(msg.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass && strings.EqualFold(got.Name, want.Name)
}

func failureOfExchange(err error) Failure {
	var netErr net.Error
	var libErr *mdns.Error
	switch {
	case errors.Is(err, errNotAllowed):
		return NotAllowed
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return Timeout
	case errors.As(err, &libErr):
		return Malformed
	default:
		return Network
	}
}
