package message_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/message"
)

func typicalMail(size int) []byte {
	return []byte(crlf(`Received: from gps (localhost [127.0.0.1])
	by tracker.example (Postfix) with ESMTP id 4ABCD12345
	for <client@example.com>; Sat, 31 Jan 2026 08:00:00 +0300 (MSK)
From: GPS Alarm <alarm@fleet.example>
To: "Doe, John" <client@example.com>
Subject: =?utf-8?b?0J/RgNC10LLRi9GI0LXQvdC40LUg0YHQutC+0YDQvtGB0YLQuA==?=
Date: Sat, 31 Jan 2026 08:00:00 +0300
Message-ID: <20260131080000.4711@tracker.example>
MIME-Version: 1.0
X-Mailer: PHPMailer 6.8.0
X-Waypost-Kind: event
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

`) + strings.Repeat(strings.Repeat("x", 74)+"\r\n", size/76))
}

// BenchmarkHeaderEdit is all header work of one accepted mail.
func BenchmarkHeaderEdit(b *testing.B) {
	raw := typicalMail(5 << 10)
	e := accepting()
	b.ReportAllocs()
	for b.Loop() {
		header, body, err := message.Split(raw)
		if err != nil {
			b.Fatal(err)
		}
		h, err := message.ParseHeader(header, message.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := message.ReadControls(h); err != nil {
			b.Fatal(err)
		}
		if _, err := h.From(); err != nil {
			b.Fatal(err)
		}
		if _, err := h.Accept(e); err != nil {
			b.Fatal(err)
		}
		_ = h.Text("Subject")
		message.Scan(h.Bytes(), body)
	}
}

func BenchmarkSplit200KiB(b *testing.B) {
	raw := typicalMail(200 << 10)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, _, err := message.Split(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan200KiB(b *testing.B) {
	raw := typicalMail(200 << 10)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		message.Scan(nil, raw)
	}
}

func BenchmarkForAttempt(b *testing.B) {
	header, _, _ := message.Split(typicalMail(5 << 10))
	addr, _ := message.ParseAddressList("Fleet <no-reply@platform.example>")
	b.ReportAllocs()
	for b.Loop() {
		message.ForAttempt(header, &addr[0])
	}
}

func BenchmarkAppendSignature(b *testing.B) {
	html := strings.Repeat("<p>Vehicle 4711 left zone = Depot</p>\n", 130)
	for name, mail := range map[string]string{
		"plain5KiB":   top + part(plainT+eight, strings.Repeat("Vehicle 4711 left the zone Depot\n", 150)),
		"altQP10KiB":  top + multi("alternative", "b", part(plainT+qp, html), part(htmlT+qp, strings.ReplaceAll(html, "=", "=3D")+"</body>")),
		"base64-5KiB": top + part(htmlT+b64T, b64(html)),
		"mixed1MiB":   top + multi("mixed", "b", part(htmlT+qp, strings.ReplaceAll(html, "=", "=3D")), part("Content-Type: application/pdf", strings.Repeat(strings.Repeat("A", 76)+"\n", 13000))),
	} {
		header, body, err := message.Split([]byte(crlf(mail)))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, _, changed, reason := message.AppendSignature(header, body, cyrillicSignature()); !changed {
					b.Fatal(reason)
				}
			}
		})
	}
}

func BenchmarkCompose(b *testing.B) {
	c := composition()
	c.Attachments[1].Content = bytes.Repeat([]byte("PK"), 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := message.Compose(c); err != nil {
			b.Fatal(err)
		}
	}
}
