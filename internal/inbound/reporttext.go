package inbound

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/waypost"
)

const patternStatus = `[245]\.\d{1,3}\.\d{1,3}`

// Servers' words.
var (
	reStatus  = regexp.MustCompile(`\b` + patternStatus + `\b`)
	reReply   = regexp.MustCompile(`(?:^|[^0-9A-Za-z.@-])([45]\d\d)(?:[ -]+|: ?)(?:#?\(?(` + patternStatus + `)\)?:?[ -]*)?(\S[^\n]*)`)
	reQmail   = regexp.MustCompile(`\(#(` + patternStatus + `)\)`)
	reAddress = regexp.MustCompile(`(?m)^\s*<?[^\s<>@]{1,64}@[^\s<>@]{1,255}?>?:?\s*$`) // on a line of its own
)

// HTML, roughly.
var (
	reHidden = regexp.MustCompile(`(?is)<(script|style)\b.*?</(script|style)>`)
	reBreak  = regexp.MustCompile(`(?i)<(br|p|div|tr|li|h\d)\b[^>]*>`)
	reTag    = regexp.MustCompile(`<[^>]*>`)
)

// statusCode finds an enhanced status code, "" if there is none: comments may follow it.
func statusCode(s string) string {
	return reStatus.FindString(s)
}

// replyIn is a server's reply as a diagnostic code has it: with its code, or words only.
// Programs put words of their own before it and after it.
func replyIn(s string) waypost.Reply {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return waypost.Reply{}
	}
	if r := classify.ParseReply(s); r.Code >= 400 {
		r.Text = shortened(r.Text)
		return r
	}
	if r := findReply(s); r.Code != 0 {
		return r
	}
	return waypost.Reply{Enhanced: statusCode(s), Text: shortened(s)}
}

// findReply finds the first reply in a text.
func findReply(text string) waypost.Reply {
	for _, m := range reReply.FindAllStringSubmatch(text, 20) {
		code, _ := strconv.Atoi(m[1])
		words := strings.Join(strings.Fields(m[3]), " ")
		if m[2] == "" && !strings.ContainsFunc(words, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127 }) {
			continue // a number that happens to look like one
		}
		return waypost.Reply{Code: code, Enhanced: m[2], Text: shortened(words)}
	}
	if m := reQmail.FindStringSubmatchIndex(text); m != nil {
		line := text[strings.LastIndexByte(text[:m[0]], '\n')+1 : m[0]]
		return waypost.Reply{Enhanced: text[m[2]:m[3]], Text: shortened(strings.TrimSpace(line))}
	}
	return waypost.Reply{}
}

// maxReplyWords bounds a reply that is kept as evidence, in bytes.
const maxReplyWords = 500

func shortened(s string) string {
	if len(s) > maxReplyWords {
		s = strings.ToValidUTF8(s[:maxReplyWords], "")
	}
	return s
}

// freeForm recognizes bounces that are no reports, and reports whether this is one or a
// warning of that kind. They are of programs older than RFC 3464, so the words are English.
func (p *reportParser) freeForm(sender string) bool {
	if sender != "" {
		return false
	}
	text := p.text.String()
	own, _, _ := strings.Cut(text, "\n--- Below this line is a copy") // the rest is ours, and may say anything
	own, _, _ = strings.Cut(own, "\n------ This is a copy")
	own, _, _ = strings.Cut(own, "\n   ----- Original message follows")
	low := strings.ToLower(own)
	subject := strings.ToLower(p.report.Subject)
	failed := p.top.Get("X-Failed-Recipients")
	switch {
	case strings.Contains(low, "still being retried"), strings.Contains(low, "has not been delivered yet"), strings.Contains(low, "this is a warning message only"),
		strings.Contains(low, "you do not need to resend"), strings.Contains(low, "will keep trying"), strings.HasPrefix(subject, "warning: "), strings.Contains(subject, "delivery status notification (delay)"):
		if failed == "" && !strings.Contains(low, "giving up") && !strings.Contains(low, "permanent error") {
			if !p.fromServer(subject) {
				return false
			}
			p.report.Sort = SortDelay
			return true
		}
	}
	qmail := strings.HasPrefix(strings.TrimSpace(low), "hi. this is the")
	if failed == "" && !qmail && !p.fromServer(subject) {
		return false
	}
	reply := findReply(own)
	if failed == "" && !qmail && reply.Code == 0 && reply.Enhanced == "" && !saysFailed(low) {
		return false
	}
	if reply.Text == "" {
		reply.Text = shortened(strings.Join(strings.Fields(afterRecipient(own)), " "))
	}
	final := firstWord(strings.NewReplacer(",", " ", "\n", " ").Replace(failed))
	p.report.Sort, p.report.Recipients = SortBounce, []Reported{{Final: final, Action: "failed", Reply: reply}}
	if strings.Count(failed, ",") > 0 { // nobody knows whose reply it is
		p.report.Recipients[0].Final = ""
	}
	return true
}

// fromServer reports whether a mail looks as if a mail program had written it to tell of a
// failure.
func (p *reportParser) fromServer(subject string) bool {
	from := strings.ToLower(p.top.Get("From"))
	if !strings.Contains(from, "mailer-daemon") && !strings.Contains(from, "postmaster") && !strings.Contains(from, "mail delivery") && !strings.Contains(from, "maildelivery") {
		return false
	}
	for _, words := range []string{
		"undeliver", "delivery status notification", "delivery failure", "delivery failed", "delivery notification", "returned mail", "failure notice",
		"mail delivery", "delivery error", "could not be delivered", "returning message", "non-delivery", "nondeliverable", "rejected", "warning: ", "unzustellbar", "message status",
	} {
		if strings.Contains(subject, words) {
			return true
		}
	}
	return false
}

// saysFailed reports whether a text says in so many words that a mail was not delivered.
func saysFailed(low string) bool {
	for _, words := range []string{
		"could not be delivered", "couldn't be delivered", "wasn't able to deliver", "unable to deliver", "was not delivered", "delivery failed", "undeliverable",
		"delivery has failed", "permanent error", "user unknown", "unknown user", "no such user", "does not exist", "not found in directory", "mailbox is full", "over quota", "quota exceeded",
	} {
		if strings.Contains(low, words) {
			return true
		}
	}
	return false
}

// afterRecipient is what stands below the first address that a text names on a line of its
// own, or all of it.
func afterRecipient(text string) string {
	m := reAddress.FindStringIndex(text)
	if m == nil {
		return text
	}
	rest := strings.TrimLeft(text[m[1]:], "\n")
	para, _, _ := strings.Cut(rest, "\n\n")
	return para
}

// automatic reports whether a program wrote a mail (RFC 3834 section 5 and what is in use
// besides).
func (p *reportParser) automatic() bool {
	h := &p.top
	if auto := strings.ToLower(firstWord(h.Get("Auto-Submitted"))); auto != "" && auto != "no" {
		return true
	}
	for _, name := range []string{
		"X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Response-Suppress", "X-Ms-Exchange-Inbox-Rules-Loop", "X-Mail-Autoreply", "X-Apple-Action",
	} {
		if h.Get(name) != "" {
			return true
		}
	}
	switch strings.ToLower(firstWord(h.Get("Precedence"))) {
	case "auto_reply", "bulk", "junk", "list":
		return true
	}
	subject := strings.ToLower(p.report.Subject)
	for _, begin := range []string{"auto:", "automatic reply", "auto reply", "auto-reply", "autoreply", "auto response", "out of office", "out of the office", "abwesenheit", "automatische antwort", "respuesta automática", "resposta automática", "автоответ"} {
		if strings.HasPrefix(subject, begin) {
			return true
		}
	}
	return false
}

// challenges reports whether a "failure" asks the sender to prove that it is a person: some
// such services dress the question as a report.
func (p *reportParser) challenges() bool {
	low := strings.ToLower(p.text.String() + " " + p.report.Subject)
	for _, words := range []string{"action required", "verify that you are a person", "confirm that you are human", "boxbe", "challenge/response", "guest list", "spam arrest", "bluebottle"} {
		if strings.Contains(low, words) {
			for i := range p.report.Recipients {
				if p.report.Recipients[i].Reply.Permanent() && p.report.Recipients[i].Reply.Code != 0 {
					return false
				}
			}
			return true
		}
	}
	return false
}

// withoutTags is the text of an HTML part, roughly: it is searched, never shown.
func withoutTags(s string) string {
	s = reHidden.ReplaceAllString(s, " ")
	s = reBreak.ReplaceAllString(s, "\n")
	s = reTag.ReplaceAllString(s, "")
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&nbsp;", " ", "&#43;", "+").Replace(s)
}
