package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/dns"
	mime "github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// newMessage is a mail as handed over.
type newMessage struct {
	To          []address         `json:"to,omitempty" maxItems:"1000" doc:"to, cc and bcc together have at most 1,000 recipients."`
	Cc          []address         `json:"cc,omitempty" maxItems:"1000"`
	Bcc         []address         `json:"bcc,omitempty" maxItems:"1000" doc:"Recipients that the mail does not show."`
	From        *mailbox          `json:"from,omitempty" doc:"Left out, it is the operator's default sender, or the platform's."`
	ReplyTo     *mailbox          `json:"reply_to,omitempty" doc:"Left out, it is what the operator's settings say."`
	Subject     string            `json:"subject,omitempty" maxLength:"1000"`
	Text        string            `json:"text,omitempty" doc:"The mail as text; text, html or both are required."`
	HTML        string            `json:"html,omitempty"`
	Attachments []attachment      `json:"attachments,omitempty" maxItems:"100"`
	Headers     map[string]string `json:"headers,omitempty" maxProperties:"100" doc:"Further header fields, for example X-Unit or List-Unsubscribe."`
	Kind        waypost.Kind      `json:"kind,omitempty" enum:"event,report,balance,security,other" doc:"What it is about; the key's default, or other. Security needs the scope send:security."`
	Lane        waypost.Lane      `json:"lane,omitempty" enum:"alarm,transactional,report,bulk" doc:"How urgent it is; derived from kind. Asking for alarm needs the scope send:alarm."`
	SendAt      *time.Time        `json:"send_at,omitempty" doc:"It does not leave before."`
	ExpiresAt   *time.Time        `json:"expires_at,omitempty" doc:"It does not leave after; 72 hours if left out."`
	Tags        []string          `json:"tags,omitempty" maxItems:"10" minLength:"1" maxLength:"64" doc:"To search for."`
	Metadata    map[string]string `json:"metadata,omitempty" maxProperties:"20" doc:"For your own programs, at most 4,096 bytes."`
	Unsubscribe *bool             `json:"unsubscribe,omitempty" doc:"Whether the mail offers its recipient to unsubscribe from its kind with one click (RFC 8058). Left out: event and report do, other does not; security and balance never do. Only mail to one recipient offers it, without a List-Unsubscribe of its own."`
}

// Bounds of names and values together, in bytes. A header block of more than maxHeaders
// is not accepted anyway.
const (
	maxMetadata = 4096
	maxHeaders  = 256 << 10
)

// attachment is a file in a mail.
type attachment struct {
	Name      string     `json:"name" maxLength:"500"`
	Type      string     `json:"type,omitempty" maxLength:"200" doc:"The media type; guessed from the name if left out."`
	Content   attachData `json:"content"`
	Inline    bool       `json:"inline,omitempty" doc:"Shown by the HTML as cid:CONTENT_ID instead of listed."`
	ContentID string     `json:"content_id,omitempty" maxLength:"200" doc:"For inline; the name if left out."`
}

// attachData is base64 in JSON. What is wrong with it is kept, so that the answer can
// say with which attachment.
type attachData struct {
	data []byte
	bad  bool
}

// UnmarshalJSON implements json.Unmarshaler. It takes base64 of RFC 4648 sections 4 and
// 5, with or without padding and line breaks.
func (d *attachData) UnmarshalJSON(token []byte) error {
	if len(token) < 2 || token[0] != '"' {
		d.bad = true
		return nil
	}
	text := token[1 : len(token)-1]
	if bytes.IndexByte(text, '\\') >= 0 { // "\/" and "\n"
		var s string
		if err := json.Unmarshal(token, &s); err != nil {
			return err
		}
		text = []byte(s)
	}
	text = bytes.TrimRight(text, "=\r\n")
	encoding := base64.RawStdEncoding
	if bytes.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	d.data = make([]byte, encoding.DecodedLen(len(text)))
	n, err := encoding.Decode(d.data, text)
	d.data, d.bad = d.data[:n], err != nil
	return nil
}

// MarshalJSON implements json.Marshaler.
func (d attachData) MarshalJSON() ([]byte, error) { return json.Marshal(d.data) }

// Schema implements huma.SchemaProvider. huma's own check of base64 would walk through
// megabytes with a regular expression.
func (attachData) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: "The file in base64.", Extensions: map[string]any{"contentEncoding": "base64"}}
}

// mailbox is an address as an object or as text.
type mailbox struct{ address }

// UnmarshalJSON implements json.Unmarshaler.
func (m *mailbox) UnmarshalJSON(token []byte) error {
	if len(token) == 0 || token[0] != '"' {
		return json.Unmarshal(token, &m.address)
	}
	var text string
	if err := json.Unmarshal(token, &text); err != nil {
		return err
	}
	m.address = address{Email: text} // if it is none, it is refused later, with the name of its field
	if list, err := mime.ParseAddressList(text); err == nil && len(list) == 1 {
		m.address = address{Email: list[0].Email, Name: list[0].Name}
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (m mailbox) MarshalJSON() ([]byte, error) { return json.Marshal(m.address) }

// Schema implements huma.SchemaProvider.
func (mailbox) Schema(r huma.Registry) *huma.Schema {
	long := 2048
	return &huma.Schema{OneOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[address](), true, "Address"),
		{Type: huma.TypeString, MaxLength: &long, Description: "address or Name <address>"},
	}}
}

type sendInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"255" pattern:"^[!-~]+$" patternDescription:"visible ASCII" doc:"Requests with the same key and the same body are accepted once; the key is kept for seven days."`
	Body newMessage
}

// receipt is the answer to a mail that was accepted.
type receipt struct {
	ID         string                    `json:"id" doc:"The message's; the batch's if the request became several messages."`
	Deliveries []waypost.ReceiptDelivery `json:"deliveries" nullable:"false"`
}

type sendOutput struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true: the same request was accepted before, and this is its answer."`
	Body     receipt
}

func (s *server) send(ctx context.Context, c *caller, in *sendInput) (*sendOutput, error) {
	sub, err := s.submission(c, &in.Body)
	if err != nil {
		return nil, err
	}
	if in.Key != "" {
		sub.IdempotencyKey = in.Key
		if sub.BodySHA256, err = fingerprint(in.Body); err != nil {
			return nil, err
		}
	}
	in.Body.Attachments = nil // they are in the message now
	got, err := s.Accepter.Accept(ctx, sub)
	if err != nil {
		return nil, in.Body.nameRecipient(err)
	}
	out := &sendOutput{Body: receipt{ID: got.ID, Deliveries: got.Deliveries}}
	if got.Replayed {
		out.Replayed = "true"
	}
	return out, nil
}

// submission composes the mail.
func (s *server) submission(c *caller, m *newMessage) (waypost.Submission, error) {
	if err := m.check(); err != nil {
		return waypost.Submission{}, err
	}
	if err := m.checkSize(s.MaxMessageSize); err != nil {
		return waypost.Submission{}, err
	}
	comp := mime.Composition{
		From: route.DefaultFrom(s.Platform, c.account), To: inHeader(m.To), Cc: inHeader(m.Cc),
		Subject: m.Subject, Text: m.Text, HTML: m.HTML, Headers: m.Headers,
	}
	if m.From != nil {
		comp.From = inHeader([]address{m.From.address})[0]
	} else { // what we chose is not a foreign From: the policy must not refuse it
		c.principal.FromPolicy = waypost.FromReplace
	}
	if m.ReplyTo != nil {
		comp.ReplyTo = inHeader([]address{m.ReplyTo.address})
	}
	for _, a := range m.Attachments {
		comp.Attachments = append(comp.Attachments, mime.Attachment{
			Name: a.Name, Type: a.Type, ContentID: a.ContentID, Inline: a.Inline, Content: a.Content.data,
		})
	}
	sub, err := s.compose(c, comp)
	if err != nil {
		return waypost.Submission{}, err
	}
	sub.Source, sub.Kind, sub.Lane, sub.Tags, sub.Metadata = "api", m.Kind, m.Lane, m.Tags, m.Metadata
	sub.Unsubscribe = m.Unsubscribe
	if m.SendAt != nil {
		sub.SendAt = m.SendAt.UTC()
	}
	if m.ExpiresAt != nil {
		sub.ExpiresAt = m.ExpiresAt.UTC()
	}
	for _, list := range [...][]address{m.To, m.Cc, m.Bcc} {
		for _, a := range list {
			sub.Recipients = append(sub.Recipients, a.Email)
		}
	}
	return sub, nil
}

// compose makes the submission of a mail, still without recipients.
func (s *server) compose(c *caller, comp mime.Composition) (waypost.Submission, error) {
	header, body, err := mime.Compose(comp)
	if err != nil {
		return waypost.Submission{}, err
	}
	sub := waypost.Submission{
		Principal: c.principal, OperatorID: c.operator(), Peer: c.peer, Protocol: "HTTP", MailFrom: comp.From.Email,
		Message: append(append(make([]byte, 0, len(header)+len(body)), header...), body...),
	}
	if !isASCII(header) { // an address outside ASCII: such a mail needs SMTPUTF8 (RFC 6532)
		sub.Protocol = "UTF8HTTP"
	}
	return sub, nil
}

// check finds what the schema cannot say.
func (m *newMessage) check() error {
	var p account.Problems
	add := func(field, message string) { p = append(p, waypost.FieldError(field, message)) }
	check := func(field, email string) {
		if _, _, err := waypost.SplitAddress(email); err != nil {
			add(field, err.Error())
		}
	}
	for i, list := range [...][]address{m.To, m.Cc, m.Bcc} {
		for j, a := range list {
			check(fmt.Sprintf("%s[%d].email", recipientField(i), j), a.Email)
		}
	}
	if len(m.To)+len(m.Cc)+len(m.Bcc) == 0 {
		add("to", "no recipients")
	}
	if m.From != nil {
		check("from", m.From.Email)
	}
	if m.ReplyTo != nil {
		check("reply_to", m.ReplyTo.Email)
	}
	for i, a := range m.Attachments {
		if a.Content.bad {
			add(fmt.Sprintf("attachments[%d].content", i), "is not base64")
		}
	}
	if bytesOf(m.Metadata) > maxMetadata {
		add("metadata", fmt.Sprintf("has more than %d bytes", maxMetadata))
	}
	if bytesOf(m.Headers) > maxHeaders {
		add("headers", fmt.Sprintf("has more than %d bytes", maxHeaders))
	}
	if len(p) == 0 {
		return nil
	}
	return p
}

// checkSize refuses a mail that is too large for anybody before it is composed: encoding
// takes several times its size, and only adds to it.
func (m *newMessage) checkSize(most int64) error {
	size := int64(len(m.Text)) + int64(len(m.HTML))
	for _, a := range m.Attachments {
		size += int64(base64.StdEncoding.EncodedLen(len(a.Content.data)))
	}
	if size <= most {
		return nil
	}
	return waypost.NewError(waypost.TooLarge, "message_too_large", fmt.Sprintf("the message has more than %d bytes, %d are allowed", size, most))
}

func bytesOf(pairs map[string]string) (size int) {
	for name, value := range pairs {
		size += len(name) + len(value)
	}
	return size
}

func recipientField(list int) string { return [...]string{"to", "cc", "bcc"}[list] }

// nameRecipient writes the field of an error about a recipient as the request has it.
func (m *newMessage) nameRecipient(err error) error {
	e := waypost.AsError(err)
	var n int
	if _, scanErr := fmt.Sscanf(e.Field, "recipients[%d]", &n); scanErr != nil {
		return err
	}
	for i, list := range [...][]address{m.To, m.Cc, m.Bcc} {
		if n < len(list) {
			named := *e
			named.Field = fmt.Sprintf("%s[%d].email", recipientField(i), n)
			return &named
		}
		n -= len(list)
	}
	return err
}

// inHeader writes addresses as header fields have them.
func inHeader(list []address) []waypost.Address {
	return items(list, func(a address) waypost.Address {
		return waypost.Address{Name: strings.TrimSpace(a.Name), Email: dns.AddressToASCII(a.Email)}
	})
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fingerprint is what makes two requests the same: the request itself, since the
// boundaries in the composed mail are random.
func fingerprint(m newMessage) ([]byte, error) {
	h := sha256.New()
	attachments := make([]attachment, len(m.Attachments))
	for i, a := range m.Attachments {
		sum := sha256.Sum256(a.Content.data)
		a.Content.data = sum[:]
		attachments[i] = a
	}
	m.Attachments = attachments
	if err := json.NewEncoder(h).Encode(m); err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	return h.Sum(nil), nil
}
