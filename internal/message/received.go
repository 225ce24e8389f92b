package message

import (
	"bytes"
	"net/netip"
	"strings"
	"time"
)

// dateLayout is the date-time of RFC 5322 section 3.3.
const dateLayout = "Mon, 02 Jan 2006 15:04:05 -0700"

// FormatDate writes an instant as the value of a Date field, in UTC.
func FormatDate(t time.Time) string { return t.UTC().Format(dateLayout) }

// Received says how a mail came to us. Empty fields are left out.
type Received struct {
	HelloName string // what the client called itself; anything, it is sanitized
	Peer      string // client IP address, with or without port
	By        string // our host name
	Protocol  string // "ESMTPSA" and the like (RFC 3848), "HTTP"
	ID        string // our name for the message
}

// Value returns the value of the trace field (RFC 5321 section 4.4). It tells the
// client's name and address and nothing about who authenticated.
func (r Received) Value(now time.Time) string {
	b := make([]byte, 0, 192)
	hello, peer := traceWord(r.HelloName), peerLiteral(r.Peer)
	switch {
	case hello != "" && peer != "":
		b = append(b, "from "+hello+" ("+peer+") "...)
	case hello != "" || peer != "":
		b = append(b, "from "+hello+peer+" "...)
	}
	for _, clause := range [...][2]string{{"by ", r.By}, {"with ", r.Protocol}, {"id ", r.ID}} {
		if word := traceWord(clause[1]); word != "" {
			b = append(append(append(b, clause[0]...), word...), ' ')
		}
	}
	b = append(bytes.TrimSuffix(b, []byte(" ")), "; "...)
	return string(now.UTC().AppendFormat(b, dateLayout))
}

// passed is how many of the mail's trace fields a host wrote itself.
func (h *Header) passed(host string) int {
	host = traceWord(host)
	if host == "" {
		return 0
	}
	n := 0
	for _, f := range h.fields {
		if f.is("Received") && strings.EqualFold(receivedBy(f.text()), host) {
			n++
		}
	}
	return n
}

// receivedBy returns the host of the by clause of a trace field that has the form of
// Received.Value, "" for any other. Names of clients may be words like "by", so words
// count by their place. Other forms are not looked into: their comments are written by
// anybody, and our own field passes other servers unchanged but for its folding.
func receivedBy(value string) string {
	clauses, _, _ := strings.Cut(value, ";")
	words := strings.Fields(clauses)
	if len(words) > 2 && strings.EqualFold(words[0], "from") {
		words = words[2:]
		if strings.HasPrefix(words[0], "(") { // the client's address; the name went before
			words = words[1:]
		}
	}
	if len(words) < 2 || !strings.EqualFold(words[0], "by") {
		return ""
	}
	return words[1]
}

// traceWord keeps what a host name, an address literal or an id is made of, so that
// a client cannot write comments or clauses into our trace field.
func traceWord(s string) string {
	s = s[:min(len(s), 255)]
	for i := range len(s) {
		if !inTraceWord(rune(s[i])) {
			return strings.Map(func(r rune) rune {
				if inTraceWord(r) {
					return r
				}
				return -1
			}, s)
		}
	}
	return s
}

func inTraceWord(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9',
		r == '.', r == '-', r == '_', r == ':', r == '[', r == ']':
		return true
	}
	return false
}

// peerLiteral writes an IP address as an address literal (RFC 5321 section 4.1.3).
func peerLiteral(peer string) string {
	addr, err := netip.ParseAddr(peer)
	if err != nil {
		withPort, err := netip.ParseAddrPort(peer)
		if err != nil {
			return ""
		}
		addr = withPort.Addr()
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return "[" + addr.String() + "]"
	}
	return "[IPv6:" + addr.String() + "]"
}
