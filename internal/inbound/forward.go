package inbound

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

// Sent is the mail that left here.
type Sent interface {
	// SentBy is whose mail a message was; the error is NotFound if there is no such message
	// with this Message-ID field, or it did not go to the address.
	SentBy(ctx context.Context, messageID, headerID, address string) (operatorID string, err error)
}

// Accounts reads operators.
type Accounts interface {
	Get(ctx context.Context, operatorID string) (*waypost.Account, error)
}

// Accepter makes a submission durable; *submit.Pipeline does.
type Accepter interface {
	Accept(ctx context.Context, s waypost.Submission) (waypost.Receipt, error)
}

// Forwarder sends what people answer to mail from the platform's default sender to the
// contact of the operator whose mail it was.
//
// A stranger could make us write to somebody so, and therefore
//
//   - it goes to the contact that the platform has for the operator, and nowhere else;
//   - what it answers has a Message-ID that we made, which has 62 random bits, and went to
//     whoever writes now: guessing does not help, and who finds the Message-ID of a mail to
//     somebody else has to know his address too;
//   - it is a mail of our own with the other one in it: it goes out in the platform's name,
//     signed and queued like any other, and bounces to nobody but us;
//   - nothing that a program wrote is forwarded, and what we write says that it is by a program
//     (RFC 3834), so two of them do not keep each other busy;
//   - so many an hour by each writer, to each operator, and in all.
//
// What does not pass is refused in the reply, so its writer knows.
type Forwarder struct {
	Sent     Sent
	Accounts Accounts
	Accepter Accepter
	From     waypost.Address // the platform's default sender
	Log      *slog.Logger
}

// Bounds of what is forwarded.
const (
	maxForward    = 1 << 20  // bytes of a mail
	maxExcerpt    = 20 << 10 // bytes of its text that are shown in ours
	maxHops       = 25       // Received fields; loops are longer
	maxReferences = 5        // that are looked up
)

// forwards reports whether what people write to the default sender may go to an operator.
func (m *Mailbox) forwards(ctx context.Context) (bool, error) {
	if m.Forward == nil {
		return false, nil
	}
	s, err := m.settings(ctx)
	return s.Forward, err
}

// forward takes a mail to the default sender.
func (m *Mailbox) forward(ctx context.Context, a Arrival) error {
	if forwards, err := m.forwards(ctx); err != nil {
		return err
	} else if !forwards { // not any more
		return m.nobodyReads(ctx)
	}
	if len(a.Data) > maxForward {
		return waypost.NewError(waypost.TooLarge, "too_large", "This address takes mail of up to 1 MiB.")
	}
	letter, ok := readLetter(a)
	if !ok {
		return m.nobodyReads(ctx)
	}
	f := m.Forward
	for _, id := range letter.answers {
		operatorID, err := f.Sent.SentBy(ctx, id.message, id.field, letter.from.Email)
		if waypost.KindOf(err) == waypost.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		account, err := f.Accounts.Get(ctx, operatorID)
		if waypost.KindOf(err) == waypost.NotFound || err == nil && account.Contact == "" {
			return m.nobodyReads(ctx)
		}
		if err != nil {
			return err
		}
		if !m.bounds.forward(waypost.NormalizeAddress(letter.from.Email), operatorID) {
			return tooMuch("too much mail to this address")
		}
		return m.send(ctx, a, letter, id, account)
	}
	return m.nobodyReads(ctx)
}

// letter is a mail that a person wrote.
type letter struct {
	header  *message.Header
	body    []byte
	from    waypost.Address
	answers []ownedID // what it answers, that may be ours; the likeliest first
}

// ownedID is a Message-ID as we make them.
type ownedID struct {
	field   string // with brackets
	message string // id of the message
}

// readLetter reads a mail if a person may have written it as an answer to one of ours.
func readLetter(a Arrival) (letter, bool) {
	if a.MailFrom == "" || ParseReport(a.Data, a.MailFrom).Sort != SortOther {
		return letter{}, false
	}
	block, body, err := message.Split(a.Data)
	if err != nil {
		return letter{}, false
	}
	h, err := message.ParseHeader(block, message.Limits{})
	if err != nil || h.Count("Received") > maxHops || isList(block) {
		return letter{}, false
	}
	from, err := h.From()
	if err != nil {
		return letter{}, false
	}
	l := letter{header: h, body: body, from: from}
	references := strings.Fields(h.Get("References"))
	slices.Reverse(references) // the mail itself is the last (RFC 5322 section 3.6.4)
	for _, field := range append(strings.Fields(h.Get("In-Reply-To")), references...) {
		local, _, ok := strings.Cut(strings.Trim(field, "<>"), "@")
		if _, isID := waypost.ParseID(local); !ok || !isID || len(field) > 300 {
			continue
		}
		id := ownedID{"<" + strings.Trim(field, "<>") + ">", local}
		if !slices.Contains(l.answers, id) && len(l.answers) < maxReferences {
			l.answers = append(l.answers, id)
		}
	}
	return l, len(l.answers) > 0
}

// isList reports whether a mail came through a list (RFC 2369, RFC 2919), or was passed on
// by a program.
func isList(header []byte) bool {
	for line := range bytes.Lines(header) {
		line = bytes.ToLower(line[:min(len(line), 20)])
		if bytes.HasPrefix(line, []byte("list-")) || bytes.HasPrefix(line, []byte("resent-")) {
			return true
		}
	}
	return false
}

// send puts a letter into the queue. The message of the platform that it becomes says in its
// metadata whose mail was answered by whom; it is written together with it.
func (m *Mailbox) send(ctx context.Context, a Arrival, l letter, id ownedID, account *waypost.Account) error {
	f := m.Forward
	subject := plain(l.header.Text("Subject"))
	header, body, err := message.Compose(message.Composition{
		From: f.From, To: []waypost.Address{{Email: account.Contact}}, ReplyTo: []waypost.Address{{Name: plain(l.from.Name), Email: l.from.Email}},
		Subject: subject, Text: forwardText(l, account.Name), Date: a.At,
		Attachments: []message.Attachment{{Name: "message.eml", Type: "application/octet-stream", Content: a.Data}},
		Headers:     map[string]string{"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}, // its answers would go to the writer
	})
	if err != nil {
		f.Log.InfoContext(ctx, "an answer to a mail cannot be forwarded", "operator", account.ID, "msg", id.message, "error", err)
		return m.nobodyReads(ctx)
	}
	sum := sha256.Sum256(a.Data)
	receipt, err := f.Accepter.Accept(ctx, waypost.Submission{
		Principal:  waypost.Principal{OperatorID: waypost.PlatformOperatorID, Scopes: []waypost.Scope{waypost.ScopeSend}},
		OperatorID: waypost.PlatformOperatorID, Source: "forward", Protocol: "internal",
		Recipients: []string{account.Contact}, Message: append(header, body...), Kind: waypost.KindOther,
		Metadata: map[string]string{"answered_operator": account.ID, "answered_message": id.message, "written_by": shortened(l.from.Email)},
		// The same mail once, however often it is brought.
		IdempotencyKey: "forward/" + hex.EncodeToString(sum[:16]), BodySHA256: sum[:],
	})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(receipt.Deliveries, func(d waypost.ReceiptDelivery) bool { return d.Status != waypost.Suppressed }) {
		return m.nobodyReads(ctx) // the contact does not work
	}
	f.Log.InfoContext(ctx, "an answer to a mail was forwarded to the operator's contact", "operator", account.ID, "msg", id.message, "as", receipt.ID)
	return nil
}

// named is an address with its name, on one line.
func named(a waypost.Address) string {
	if a.Name == "" {
		return plain(a.Email)
	}
	return plain(a.Name) + " <" + plain(a.Email) + ">"
}

// forwardText is what stands above a letter: whose it is, so that nobody takes its words for
// the platform's, and the words.
func forwardText(l letter, operator string) string {
	var b strings.Builder
	b.WriteString(named(l.from) + "\nanswered a mail of " + plain(operator) + ". Whether it is really from there has not been checked.\n" +
		"Answer this mail to write to them. The whole mail is attached; its text:\n\n")
	text, read := "", message.Read(l.header.Bytes(), l.body)
	switch {
	case read.Text != nil:
		text = read.Text.String()
	case read.HTML != nil:
		text = withoutTags(read.HTML.String())
	}
	if len(text) > maxExcerpt {
		text = strings.ToValidUTF8(text[:maxExcerpt], "") + "\n..."
	}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		b.WriteString("> " + plainWords(strings.TrimRight(line, "\r\n")) + "\n")
	}
	return b.String()
}
