package smtpc

import (
	"slices"
	"strconv"
	"strings"
)

// Extensions is what a server offers in its reply to EHLO. The zero value is a
// server that knows HELO only.
type Extensions struct {
	ESMTP               bool
	Pipelining          bool
	EightBitMIME        bool
	SMTPUTF8            bool
	StartTLS            bool
	EnhancedStatusCodes bool
	Size                bool     // SIZE is offered
	MaxSize             int64    // bytes, 0: no limit told
	Auth                []string // login mechanisms, upper case, in the server's order
	MailMax             int      // LIMITS MAILMAX: mails a session, 0: not told (RFC 9422)
	RcptMax             int      // LIMITS RCPTMAX: recipients a mail, 0: not told
}

// parseExtensions reads the text of a reply to EHLO: the domain line, then one
// keyword with parameters a line (RFC 5321 section 4.1.1.1).
func parseExtensions(text string) Extensions {
	ext := Extensions{ESMTP: true}
	first := true
	for line := range strings.SplitSeq(text, "\n") {
		if first {
			first = false
			continue
		}
		// Servers of the last century wrote AUTH=LOGIN, and some still do, for
		// clients of the last century.
		if len(line) > 5 && strings.EqualFold(line[:5], "AUTH=") {
			line = "AUTH " + line[5:]
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		ext.add(strings.ToUpper(words[0]), words[1:])
	}
	return ext
}

func (e *Extensions) add(keyword string, params []string) {
	switch keyword {
	case "PIPELINING":
		e.Pipelining = true
	case "8BITMIME":
		e.EightBitMIME = true
	case "SMTPUTF8":
		e.SMTPUTF8 = true
	case "STARTTLS":
		e.StartTLS = true
	case "ENHANCEDSTATUSCODES":
		e.EnhancedStatusCodes = true
	case "SIZE":
		e.Size = true
		if len(params) > 0 {
			if n, err := strconv.ParseInt(params[0], 10, 64); err == nil && n > 0 {
				e.MaxSize = n
			}
		}
	case "AUTH":
		for _, mech := range params {
			if mech = strings.ToUpper(mech); !slices.Contains(e.Auth, mech) {
				e.Auth = append(e.Auth, mech)
			}
		}
	case "LIMITS":
		for _, param := range params {
			name, value, _ := strings.Cut(param, "=")
			n, err := strconv.Atoi(value)
			if err != nil || n <= 0 {
				continue
			}
			switch strings.ToUpper(name) {
			case "MAILMAX":
				e.MailMax = n
			case "RCPTMAX":
				e.RcptMax = n
			}
		}
	}
}
