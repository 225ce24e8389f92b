package message_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

func composition() message.Composition {
	return message.Composition{
		From:    waypost.Address{Name: "Парк", Email: "no-reply@b.example"},
		To:      []waypost.Address{{Name: "Doe, John", Email: "john@example.com"}, {Email: "jane@example.com"}},
		Cc:      []waypost.Address{{Email: "cc@example.com"}},
		ReplyTo: []waypost.Address{{Email: "support@b.example"}},
		Subject: "Отчёт за день: " + strings.Repeat("очень длинный ", 10),
		Text:    "Привет\nмир\n",
		HTML:    `<html><body><p>Hi <img src="cid:logo"></p></body></html>`,
		Attachments: []message.Attachment{
			{Name: "logo.png", Type: "image/png", ContentID: "logo", Inline: true, Content: []byte("PNG")},
			{Name: "Отчёт за день.xlsx", Content: []byte("PK\x03\x04")},
			{Name: "../../etc/passwd\"x", Type: "text/plain; charset=utf-8", Content: []byte("root\n")},
		},
		Headers:   map[string]string{"X-Unit": "Грузовик", "List-Unsubscribe": "<https://b.example/u>"},
		MessageID: "1@b.example",
		Date:      time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC),
	}
}

func TestComposedMailReadsBack(t *testing.T) {
	header, body, err := message.Compose(composition())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := message.Split(append(bytes.Clone(header), body...)); err != nil {
		t.Error(err)
	}
	for line := range bytes.Lines(append(bytes.Clone(header), body...)) {
		if len(line) > 998+2 {
			t.Errorf("line of %d bytes", len(line))
		}
	}
	if info := message.Scan(header, body); info != (message.Info{}) {
		t.Errorf("%+v", info)
	}
	r, err := mail.CreateReader(io.MultiReader(bytes.NewReader(header), bytes.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := r.Header.Subject()
	from, _ := r.Header.AddressList("From")
	to, _ := r.Header.AddressList("To")
	unit, _ := r.Header.Text("X-Unit")
	date, _ := r.Header.Date()
	id, _ := r.Header.MessageID()
	if subject != composition().Subject || from[0].Name != "Парк" || to[0].Name != "Doe, John" || len(to) != 2 ||
		unit != "Грузовик" || !date.Equal(composition().Date) || id != "1@b.example" || r.Header.Has("User-Agent") {
		t.Errorf("%s", header)
	}
	got := map[string]string{}
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		switch h := p.Header.(type) {
		case *mail.InlineHeader:
			kind, _, _ := h.ContentType()
			got[kind] = string(content) + h.Get("Content-Id")
		case *mail.AttachmentHeader:
			name, _ := h.Filename()
			got[name] = string(content)
		}
	}
	want := map[string]string{
		"text/plain": "Привет\r\nмир\r\n", "text/html": composition().HTML, "image/png": "PNG<logo>",
		"Отчёт за день.xlsx": "PK\x03\x04", ".._.._etc_passwd_x": "root\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestComposeNeedsNoRecipientField(t *testing.T) {
	header, body, err := message.Compose(message.Composition{From: waypost.Address{Email: "a@b.example"}, Text: "x"})
	if err != nil {
		t.Fatal(err)
	}
	h, err := message.ParseHeader(header, message.Limits{})
	if err != nil || h.Get("To") != "undisclosed-recipients:;" || h.Has("Date") || h.Has("Message-ID") || h.Get("Mime-Version") != "1.0" || h.Count("Content-Type") != 1 {
		t.Errorf("%s%v", header, err)
	}
	if strings.TrimSpace(string(body)) != "x" {
		t.Errorf("body %q", body)
	}
}

func TestComposeRefuses(t *testing.T) {
	for field, change := range map[string]func(*message.Composition){
		"from":                func(c *message.Composition) { c.From.Email = "nobody" },
		"to[1]":               func(c *message.Composition) { c.To[1].Email = "x@y.example\r\nBcc: z" },
		"cc":                  func(c *message.Composition) { c.Cc[0].Name = "x\r\nBcc: z" },
		"reply_to":            func(c *message.Composition) { c.ReplyTo[0].Email = "" },
		"subject":             func(c *message.Composition) { c.Subject = "x\r\nBcc: y@z.example" },
		"text":                func(c *message.Composition) { c.Text, c.HTML = "", "" },
		"html":                func(c *message.Composition) { c.HTML = "\xff" },
		"headers.X-Unit":      func(c *message.Composition) { c.Headers["X-Unit"] = "a\nb" },
		"headers":             func(c *message.Composition) { c.Headers["X Unit"] = "a" },
		"message_id":          func(c *message.Composition) { c.MessageID = "a b" },
		"attachments[1]":      func(c *message.Composition) { c.Attachments[1].Name = "a\r\nb" },
		"attachments[0]":      func(c *message.Composition) { c.Attachments[0].ContentID = "a\r\nb" },
		"attachments[2].type": func(c *message.Composition) { c.Attachments[2].Type = "excel" },
	} {
		c := composition()
		change(&c)
		_, _, err := message.Compose(c)
		if e := waypost.AsError(err); e.Kind != waypost.Invalid || e.Field != field {
			t.Errorf("%s: %#v", field, err)
		}
	}
	for _, name := range []string{
		"From", "to", "CC", "Bcc", "Reply-To", "Sender", "Date", "Message-ID", "Subject", "Received", "DKIM-Signature",
		"Content-Type", "content-foo", "MIME-Version", "Return-Path", "X-Waypost-Kind", "Resent-To", "Idempotency-Key", "ARC-Seal",
	} {
		c := composition()
		c.Headers = map[string]string{name: "x"}
		if _, _, err := message.Compose(c); waypost.KindOf(err) != waypost.Invalid {
			t.Errorf("%s was taken: %v", name, err)
		}
	}
}

func TestComposedMailTakesTheSignature(t *testing.T) {
	header, body, err := message.Compose(composition())
	if err != nil {
		t.Fatal(err)
	}
	newHeader, newBody, changed, reason := message.AppendSignature(header, body, cyrillicSignature())
	if !changed || reason != "" {
		t.Fatalf("changed %v, reason %q", changed, reason)
	}
	judge(t, header, body, newHeader, newBody)
}

func TestComposeTakesAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, subject := rapid.String().Draw(t, "text"), rapid.String().Draw(t, "subject")
		header, body, err := message.Compose(message.Composition{
			From: waypost.Address{Name: subject, Email: "a@b.example"}, Subject: subject, Text: text + ".",
			Attachments: []message.Attachment{{Name: subject, Content: []byte(text)}},
		})
		if strings.ContainsAny(subject, "\r\n\x00") {
			if waypost.KindOf(err) != waypost.Invalid {
				t.Fatalf("error %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := mail.CreateReader(io.MultiReader(bytes.NewReader(header), bytes.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		p, err := r.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(p.Body)
		want := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(text + ".")
		if err != nil || strings.TrimSuffix(string(got), "\r\n") != want {
			t.Fatalf("%q came back as %q, %v", want, got, err)
		}
	})
}
