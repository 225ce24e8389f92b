package inbound

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // notices in every language
	"github.com/emersion/go-message/textproto"

	"github.com/waypost/waypost/internal/waypost"
)

// Sort is what a mail to a return path is.
type Sort string

// The sorts. Only a bounce and a complaint mean anything for a delivery.
const (
	SortBounce    Sort = "bounce"    // given up
	SortDelay     Sort = "delay"     // still being tried by the server that took it
	SortReceipt   Sort = "receipt"   // delivered, relayed, read
	SortComplaint Sort = "complaint" // the recipient pressed "spam" (RFC 5965)
	SortFeedback  Sort = "feedback"  // another report of that kind: not spam, failed authentication
	SortAnswer    Sort = "answer"    // automatic: out of office, a challenge
	SortOther     Sort = "other"     // written by somebody, or beyond us
)

// Report is what a mail to a return path says. Whom it concerns is not in it: that is said
// by the address it was sent to, which has a MAC, and by nothing that stands in the mail.
type Report struct {
	Sort       Sort
	Recipients []Reported // of bounces, delays and receipts: as the reporting server knows them
	Feedback   string     // of complaints and feedback: the Feedback-Type
	Reporter   string     // the server that reports, as it calls itself
	Subject    string     // of the report itself, for people

	ReturnPaths []string // where the mail it is about was to return to, as the reporter or the mail itself says
}

// Reported is what became of a recipient.
type Reported struct {
	Final    string // where the mail was tried to be delivered, which may be somewhere it was forwarded to
	Original string // what the sender asked for, if the server knows it
	Action   string // failed, delayed, delivered, relayed, expanded
	Reply    waypost.Reply
}

// Bounds of what is looked at: a report is not long, and who sends us something else gets
// no more of our time.
const (
	maxReportDepth  = 6
	maxReportParts  = 60
	maxStatusGroups = 100
	maxReportText   = 64 << 10 // bytes of a part
)

// ParseReport says what a mail to a return path is. sender is its envelope sender, "" for
// none. It never fails: what is not understood is SortOther.
//
// A report may be anywhere below the top (RFC 6522 section 1); the first one of its kind
// counts.
func ParseReport(raw []byte, sender string) Report {
	p := reportParser{report: Report{Sort: SortOther}}
	raw = withoutMboxLine(raw)
	e, err := message.Read(bytes.NewReader(raw))
	if e == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return p.report
	}
	p.top = e.Header
	p.report.Subject = plain(decoded(e.Header, "Subject"))
	p.walk(e, 0)
	p.decide(sender)
	return p.report
}

// withoutMboxLine drops the line that some programs put before a mail.
func withoutMboxLine(raw []byte) []byte {
	if bytes.HasPrefix(raw, []byte("From ")) || bytes.HasPrefix(raw, []byte(">From ")) {
		if _, rest, ok := bytes.Cut(raw, []byte("\n")); ok {
			return rest
		}
	}
	return raw
}

// reportParser collects the parts.
type reportParser struct {
	report   Report
	top      message.Header
	parts    int
	text     strings.Builder // what people are to read
	groups   []textproto.Header
	feedback *textproto.Header
	receipt  bool // a disposition notification (RFC 8098)
}

// walk looks at an entity and what is in it.
func (p *reportParser) walk(e *message.Entity, depth int) {
	if p.parts++; p.parts > maxReportParts || depth > maxReportDepth {
		return
	}
	if parts := e.MultipartReader(); parts != nil {
		for {
			part, err := parts.NextPart()
			if part == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
				return // the end, or one that never comes: what was read counts
			}
			p.walk(part, depth+1)
		}
	}
	kind, _, _ := e.Header.ContentType()
	body := io.LimitReader(e.Body, maxReportText)
	switch strings.ToLower(kind) {
	case "message/delivery-status", "message/global-delivery-status":
		if groups := headerGroups(body); len(groups) > len(p.groups) { // some have an empty one, or text, before the real one
			p.groups = groups
		}
	case "message/feedback-report":
		if groups := headerGroups(body); p.feedback == nil && len(groups) > 0 {
			p.feedback = &groups[0]
		}
	case "message/disposition-notification", "message/global-disposition-notification":
		p.receipt = true
	case "message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers", "text/rfc822":
		p.returned(body)
	case "text/html":
		if p.text.Len() == 0 {
			p.read(strings.NewReader(withoutTags(readAll(body))))
		}
	case "text/plain", "text", "":
		p.read(body)
	}
}

func (p *reportParser) read(r io.Reader) {
	if p.text.Len() < maxReportText {
		p.text.WriteString(strings.ReplaceAll(readAll(r), "\r\n", "\n"))
		p.text.WriteByte('\n')
	}
}

func readAll(r io.Reader) string {
	b, _ := io.ReadAll(r) // what was read counts, whatever follows
	return string(b)
}

// returned reads the header of the mail that came back.
func (p *reportParser) returned(r io.Reader) {
	h, _ := textproto.ReadHeader(bufio.NewReader(r))
	p.returnPath(h.Get("Return-Path"))
}

func (p *reportParser) returnPath(address string) {
	if address = strings.Trim(strings.TrimSpace(address), "<>"); address != "" && len(p.report.ReturnPaths) < 10 {
		p.report.ReturnPaths = append(p.report.ReturnPaths, address)
	}
}

// headerGroups reads groups of fields with blank lines between them (RFC 3464 section 2.1).
// Lines that are no fields do not spoil the others.
func headerGroups(r io.Reader) []textproto.Header {
	var groups []textproto.Header
	var h textproto.Header
	name, value := "", ""
	keep := func() {
		if name != "" {
			h.Add(name, strings.TrimSpace(value))
		}
		name, value = "", ""
	}
	end := func() {
		keep()
		if h.Len() > 0 && len(groups) < maxStatusGroups {
			groups = append(groups, h)
		}
		h = textproto.Header{}
	}
	for line := range strings.Lines(readAll(r)) {
		line = strings.TrimRight(line, "\r\n")
		switch before, after, ok := strings.Cut(line, ":"); {
		case strings.TrimSpace(line) == "":
			end()
		case (line[0] == ' ' || line[0] == '\t') && name != "":
			value += " " + strings.TrimSpace(line)
		case ok && isFieldName(before):
			keep()
			name, value = strings.TrimSpace(before), after
		}
	}
	end()
	return groups
}

func isFieldName(s string) bool {
	s = strings.TrimRight(s, " \t")
	return s != "" && len(s) < 80 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// decode is a field with its encoded words in plain text.
func decoded(h message.Header, name string) string {
	text, err := h.Text(name)
	if err != nil {
		return h.Get(name)
	}
	return text
}

// decide finds the sort.
func (p *reportParser) decide(sender string) {
	switch {
	case p.feedback != nil:
		p.complaint(*p.feedback)
	case p.status():
	case p.receipt:
		p.report.Sort = SortReceipt
	case p.freeForm(sender):
	case p.automatic():
		p.report.Sort = SortAnswer
	}
	if p.report.Sort == SortBounce && (p.challenges() || sender != "") {
		// A report has no envelope sender (RFC 3464 section 2): with one it is an answer dressed as one.
		p.report.Sort = SortAnswer
	}
}

// complaint reads a feedback report (RFC 5965 section 3).
func (p *reportParser) complaint(h textproto.Header) {
	p.report.Feedback = strings.ToLower(plain(firstWord(h.Get("Feedback-Type"))))
	p.report.Reporter = plain(typed(h.Get("Reporting-Mta")))
	p.returnPath(h.Get("Original-Mail-From"))
	switch p.report.Feedback {
	case "abuse", "fraud", "virus", "other", "opt-out", "opt-out-list", "miscategorized":
		p.report.Sort = SortComplaint
	default: // not-spam (RFC 6430), auth-failure (RFC 6591), or newer
		p.report.Sort = SortFeedback
	}
}

// status reads delivery status groups (RFC 3464) and reports whether there is one.
func (p *reportParser) status() bool {
	for _, h := range p.groups {
		if mta := h.Get("Reporting-Mta"); mta != "" && p.report.Reporter == "" {
			p.report.Reporter = plain(typed(mta))
		}
		action := strings.ToLower(firstWord(h.Get("Action")))
		if action == "" {
			continue // the fields of the message
		}
		r := Reported{
			Final: typed(h.Get("Final-Recipient")), Original: typed(h.Get("Original-Recipient")), Action: action,
		}
		r.Reply = replyIn(typed(h.Get("Diagnostic-Code")))
		if r.Reply.Enhanced == "" {
			r.Reply.Enhanced = statusCode(h.Get("Status"))
		}
		p.report.Recipients = append(p.report.Recipients, r)
	}
	sorts := map[string]Sort{"failed": SortBounce, "failure": SortBounce, "delayed": SortDelay, "delivered": SortReceipt, "relayed": SortReceipt, "expanded": SortReceipt}
	for _, want := range []Sort{SortBounce, SortDelay, SortReceipt} {
		for i := range p.report.Recipients {
			if sorts[p.report.Recipients[i].Action] == want {
				p.report.Sort = want
				p.wordsFor(p.report.Recipients)
				return true
			}
		}
	}
	return false
}

// wordsFor looks for a reply in the text where the status says none: some servers put it
// there only.
func (p *reportParser) wordsFor(list []Reported) {
	for i := range list {
		r := &list[i]
		if r.Reply.Text != "" || len(list) > 1 {
			continue
		}
		if found := findReply(p.text.String()); found.Text != "" {
			enhanced := r.Reply.Enhanced
			if r.Reply = found; r.Reply.Enhanced == "" {
				r.Reply.Enhanced = enhanced
			}
		}
	}
}

// typed is a value without the type before it: "rfc822; a@b.example", "smtp; 550 no".
func typed(value string) string {
	if kind, rest, ok := strings.Cut(value, ";"); ok && !strings.ContainsAny(strings.TrimSpace(kind), " @<") {
		value = rest
	}
	return strings.Trim(strings.TrimSpace(value), "<>")
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return strings.TrimRight(word, ";,")
}
