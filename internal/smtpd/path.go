package smtpd

import (
	"math"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// cutPath takes the argument of MAIL or RCPT apart: prefix ("FROM:"), the path
// without its brackets, and the parameters. A blank before the path and missing
// brackets are tolerated, because legacy software writes both. A source route is
// cut off (RFC 5321 section 4.1.1.3); quoted local parts stay as written.
func cutPath(arg, prefix string) (path, params string, ok bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", "", false
	}
	arg = strings.TrimLeft(arg[len(prefix):], " ")
	if !strings.HasPrefix(arg, "<") {
		path, params, _ = strings.Cut(arg, " ")
		return path, strings.TrimSpace(params), path != "" && !strings.ContainsAny(path, "<>\"")
	}
	end := closingBracket(arg)
	if end < 0 {
		return "", "", false
	}
	path, params = arg[1:end], arg[end+1:]
	if params != "" && params[0] != ' ' {
		return "", "", false
	}
	if strings.HasPrefix(path, "@") {
		if _, mailbox, found := strings.Cut(path, ":"); found {
			path = mailbox
		}
	}
	return path, strings.TrimSpace(params), true
}

// closingBracket returns the index of the ">" that ends a path, which is not one inside
// of quotes, or -1.
func closingBracket(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// checkPath judges an envelope address; a zero reply means that it is good.
// Enhanced is the code for bad ones: 5.1.7 for a sender, 5.1.3 for a recipient.
func checkPath(path string, utf8 bool, enhanced string) reply {
	if _, _, err := waypost.SplitAddress(path); err != nil {
		return reply{553, enhanced, "Address refused: " + err.Error()}
	}
	if !utf8 && strings.IndexFunc(path, func(r rune) bool { return r > 0x7e }) >= 0 {
		return reply{553, "5.6.7", "Address needs SMTPUTF8"} // RFC 6531 section 3.5
	}
	return reply{}
}

// mailParams are the parameters of MAIL that matter.
type mailParams struct {
	size int64 // 0 if not declared
	utf8 bool
}

// parseMailParams reads SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531) and
// AUTH (RFC 4954 section 5, ignored: nobody is trusted to vouch for others).
// A reply that is not zero is the refusal.
func parseMailParams(params string) (p mailParams, refusal reply) {
	if params == "" {
		return p, refusal
	}
	seen := make(map[string]bool)
	for param := range strings.FieldsSeq(params) {
		key, value, hasValue := strings.Cut(param, "=")
		key = strings.ToUpper(key)
		if seen[key] {
			return p, reply{501, "5.5.4", "MAIL parameter given twice"}
		}
		seen[key] = true
		good := hasValue && value != ""
		switch key {
		case "SIZE":
			p.size, good = parseSize(value)
		case "BODY":
			good = strings.EqualFold(value, "7BIT") || strings.EqualFold(value, "8BITMIME")
		case "SMTPUTF8":
			p.utf8, good = true, !hasValue
		case "AUTH":
		default:
			return p, reply{555, "5.5.4", "MAIL parameter not recognized"}
		}
		if !good {
			return p, reply{501, "5.5.4", "Bad value of MAIL parameter " + key}
		}
	}
	return p, refusal
}

// parseSize reads up to 20 digits (RFC 1870 section 4); what does not fit an
// int64 is as large as can be.
func parseSize(s string) (int64, bool) {
	if s == "" || len(s) > 20 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}
