package message

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/textproto"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wneessen/go-mail"

	"github.com/waypost/waypost/internal/waypost"
)

// Limits of one attachment's names.
const (
	maxFileName  = 200 // bytes; percent-encoded it still fits a line
	maxContentID = 200
)

// Composition is a mail as data. Text, HTML or both are required; texts are UTF-8 with
// any line ends.
type Composition struct {
	From        waypost.Address
	To, Cc      []waypost.Address
	ReplyTo     []waypost.Address
	Subject     string
	Text, HTML  string
	Attachments []Attachment
	Headers     map[string]string // further fields, none of those the system writes
	MessageID   string            // with or without brackets; "" leaves it to accept
	Date        time.Time         // zero leaves it to accept
}

// Attachment is a file in a mail.
type Attachment struct {
	Name      string
	Type      string // media type; "" guesses from the name
	ContentID string // without brackets; for Inline, "" means Name
	Inline    bool   // shown by the HTML through "cid:", not listed
	Content   []byte
}

// Compose writes a mail: the header block, which ends with the empty line, and the
// body, with CRLF line ends. go-mail writes the MIME structure and encodings, Header
// the fields. What cannot be written is an Invalid error whose Field is the name in
// the REST request ("headers.X-Unit").
func Compose(c Composition) (header, body []byte, err error) {
	h := &Header{}
	if err := c.writeFields(h); err != nil {
		return nil, nil, err
	}
	msg, err := c.mime()
	if err != nil {
		return nil, nil, err
	}
	var buf bytes.Buffer
	if _, err := msg.WriteTo(&buf); err != nil {
		return nil, nil, fmt.Errorf("write MIME: %w", err)
	}
	block, body, err := Split(buf.Bytes())
	if err != nil {
		return nil, nil, fmt.Errorf("compose: %w", err)
	}
	for _, f := range readHeader(block).fields {
		if f.is("MIME-Version") || hasPrefixFold(f.raw, "Content-") {
			h.fields = append(h.fields, f)
		}
	}
	return h.Bytes(), body, nil
}

func (c Composition) writeFields(h *Header) error {
	if !c.Date.IsZero() {
		if err := h.Append("Date", FormatDate(c.Date)); err != nil {
			return err
		}
	}
	if c.MessageID != "" {
		id := strings.TrimSuffix(strings.TrimPrefix(c.MessageID, "<"), ">")
		if strings.ContainsAny(id, " \t<>") {
			return waypost.FieldError("message_id", "not a Message-ID")
		}
		if err := h.Append("Message-ID", "<"+id+">"); err != nil {
			return err
		}
	}
	if err := appendAddresses(h, "From", "from", []waypost.Address{c.From}); err != nil {
		return err
	}
	if err := appendAddresses(h, "To", "to", c.To); err != nil {
		return err
	}
	if err := appendAddresses(h, "Cc", "cc", c.Cc); err != nil {
		return err
	}
	if len(c.To)+len(c.Cc) == 0 { // all recipients are blind
		if err := h.Append("To", "undisclosed-recipients:;"); err != nil {
			return err
		}
	}
	if err := appendAddresses(h, "Reply-To", "reply_to", c.ReplyTo); err != nil {
		return err
	}
	if err := appendText(h, "Subject", "subject", c.Subject); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if !validFieldName(name) || owned(name) {
			return waypost.FieldError("headers", fmt.Sprintf("%q is not a header field a mail may bring", clip([]byte(name))))
		}
		if err := appendText(h, name, "headers."+name, c.Headers[name]); err != nil {
			return err
		}
	}
	return nil
}

// owned reports fields that the system writes or reads itself.
func owned(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "from", "to", "cc", "bcc", "reply-to", "sender", "date", "message-id", "subject", "received", "return-path",
		"mime-version", "dkim-signature", "domainkey-signature", "authentication-results", "delivered-to",
		"idempotency-key":
		return true
	}
	for _, prefix := range [...]string{"content-", "resent-", "arc-", "x-waypost-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func appendAddresses(h *Header, name, field string, list []waypost.Address) error {
	for i, a := range list {
		field := field
		if len(list) > 1 {
			field += "[" + strconv.Itoa(i) + "]"
		}
		if _, _, err := waypost.SplitAddress(a.Email); err != nil {
			return &waypost.Error{
				Kind: waypost.Invalid, Code: "bad_address", Field: field,
				Message: "not an e-mail address", Err: err,
			}
		}
		if strings.ContainsAny(a.Name, "\r\n\x00") {
			return waypost.FieldError(field, "the name has a line break or NUL")
		}
	}
	if len(list) == 0 {
		return nil
	}
	return h.Append(name, FormatAddressList(list))
}

// appendText adds free text. A value that is ASCII may hold encoded words already.
func appendText(h *Header, name, field, value string) error {
	if strings.ContainsAny(value, "\r\n\x00") || !utf8.ValidString(value) {
		return waypost.FieldError(field, "has a line break or NUL, or is not UTF-8")
	}
	if name == "Subject" || !isASCIIString(value) || longestWord(value) > maxWord {
		value = EncodeText(value)
	}
	return h.Append(name, value)
}

// mime builds the MIME part of the mail with go-mail. The structure is
// mixed(related(alternative(text, html), inline files), attached files), without the
// levels that are not needed.
func (c Composition) mime() (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	switch {
	case c.Text == "" && c.HTML == "":
		return nil, waypost.FieldError("text", "text or html is required")
	case !utf8.ValidString(c.Text):
		return nil, waypost.FieldError("text", "is not UTF-8")
	case !utf8.ValidString(c.HTML):
		return nil, waypost.FieldError("html", "is not UTF-8")
	}
	if c.Text != "" {
		setBody(msg.SetBodyString, mail.TypeTextPlain, c.Text)
	}
	switch {
	case c.HTML != "" && c.Text != "":
		setBody(msg.AddAlternativeString, mail.TypeTextHTML, c.HTML)
	case c.HTML != "":
		setBody(msg.SetBodyString, mail.TypeTextHTML, c.HTML)
	}
	var inline, attached []*mail.File
	for i, a := range c.Attachments {
		file, err := a.file(fmt.Sprintf("attachments[%d]", i))
		if err != nil {
			return nil, err
		}
		if a.Inline {
			inline = append(inline, file)
		} else {
			attached = append(attached, file)
		}
	}
	msg.SetEmbeds(inline)
	msg.SetAttachments(attached)
	return msg, nil
}

// setBody hands a text to go-mail in the encoding that keeps it small: quoted-printable
// for mostly ASCII, base64 for other scripts.
func setBody(set func(mail.ContentType, string, ...mail.PartOption), kind mail.ContentType, text string) {
	text = strings.NewReplacer("\r\n", "\r\n", "\n", "\r\n", "\r", "\r\n").Replace(text)
	high := 0
	for i := range len(text) {
		high += int(text[i] >> 7)
	}
	encoding := mail.EncodingQP
	if high > len(text)/6 { // 3 bytes for each high one against 4/3 for every one
		encoding = mail.EncodingB64
	}
	set(kind, text, mail.WithPartEncoding(encoding))
}

// file makes the go-mail form of an attachment. Its header fields are written here
// because go-mail puts encoded words where RFC 2231 wants percent encoding, and does
// not fold.
func (a Attachment) file(field string) (*mail.File, error) {
	if strings.ContainsAny(a.Name+a.Type+a.ContentID, "\r\n\x00") || !utf8.ValidString(a.Name) {
		return nil, waypost.FieldError(field, "has a line break or NUL in its name, type or content id")
	}
	name := fileName(a.Name)
	mediaType, params, err := mime.ParseMediaType(a.mediaType(name))
	if err != nil || strings.Count(mediaType, "/") != 1 {
		return nil, waypost.FieldError(field+".type", "not a media type")
	}
	if kind, _, _ := strings.Cut(mediaType, "/"); kind == "multipart" || kind == "message" {
		mediaType, params = "application/octet-stream", nil // those may not be in base64 (RFC 2045 section 6.4)
	}
	delete(params, "name")
	disposition := "attachment"
	if a.Inline {
		disposition = "inline"
	}
	// The name goes into both fields: RFC 2183 wants it in the second, and some
	// readers only know the first and encoded words in it.
	contentType := mime.FormatMediaType(mediaType, params) + `; name=` + quote(EncodeText(name))
	file := &mail.File{
		Name:   name,
		Header: textproto.MIMEHeader{},
		Writer: func(w io.Writer) (int64, error) {
			n, err := w.Write(a.Content)
			return int64(n), err
		},
	}
	fields := map[string]string{
		"Content-Type":        contentType,
		"Content-Disposition": mime.FormatMediaType(disposition, map[string]string{"filename": name}),
	}
	if id := a.contentID(name); id != "" {
		fields["Content-ID"] = "<" + id + ">"
	}
	for key, value := range fields {
		f, err := newField(key, value)
		if err != nil {
			return nil, waypost.FieldError(field, "cannot be written as a MIME part")
		}
		file.Header[key] = []string{strings.TrimSpace(string(f.raw[f.value:]))}
	}
	return file, nil
}

func (a Attachment) mediaType(name string) string {
	if a.Type != "" {
		return a.Type
	}
	if guess := mime.TypeByExtension(path.Ext(name)); guess != "" {
		return guess
	}
	return "application/octet-stream"
}

func (a Attachment) contentID(name string) string {
	id := strings.Trim(a.ContentID, "<>")
	if id == "" && a.Inline {
		id = name
	}
	id = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '<' || r == '>' {
			return '_'
		}
		return r
	}, id)
	return id[:min(len(id), maxContentID)]
}

// fileName makes a name that is safe in a header field and on a disk, cut in front so
// that its ending stays.
func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		if isControl(r) || strings.ContainsRune(`/\"<>:|?*`, r) {
			return '_'
		}
		return r
	}, strings.TrimSpace(s))
	if over := len(s) - maxFileName; over > 0 {
		s = strings.ToValidUTF8(s[over:], "")
	}
	if s == "" || s == "." || s == ".." {
		return "attachment"
	}
	return s
}
