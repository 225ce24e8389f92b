package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"github.com/waypost/waypost/internal/dkim"
)

// bench runs one operation and reports the CPU it takes, which is steady on a
// shared machine where time is not. 1 us/op is 0.01 CPU seconds per 10,000.
func bench(b *testing.B, op func() error) {
	b.Helper()
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		if err := op(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Bodies of size bytes: text as people write it, HTML as programs indent it, and
// an attachment.
func benchBodies(size int) map[string][]byte {
	fill := func(line string) []byte { return bytes.Repeat([]byte(line), size/len(line)+1)[:size] }
	noise := make([]byte, 57)
	for i := range noise {
		noise[i] = byte(i * 151)
	}
	return map[string][]byte{
		"text":   fill("Unit 7 left the zone at 03:00 with 61 km/h, the driver was told by phone.\r\n"),
		"html":   fill("        <td class=\"value\">61 km/h</td><td>\r\n"),
		"base64": fill(base64.StdEncoding.EncodeToString(noise) + "\r\n"),
	}
}

func BenchmarkBodyHash(b *testing.B) {
	for size, name := range map[int]string{5 << 10: "5KiB", 200 << 10: "200KiB"} {
		for kind, body := range benchBodies(size) {
			b.Run(name+"/"+kind, func(b *testing.B) {
				bench(b, func() error { dkim.BodyHash(body); return nil })
			})
		}
		b.Run(name+"/sha256_alone", func(b *testing.B) {
			body := benchBodies(size)["text"]
			bench(b, func() error { sha256.Sum256(body); return nil })
		})
	}
}

func BenchmarkSignRSA(b *testing.B) {
	der, err := dkim.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	for _, engine := range []*dkim.Engine{dkim.OpenEngine(), dkim.GoEngine()} {
		name, _, _ := strings.Cut(strings.ReplaceAll(engine.Name(), "/", "_"), " ")
		key, err := dkim.ParseKey(der, engine)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			bench(b, func() error {
				_, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
				return err
			})
		})
	}
}

func BenchmarkSign5KiB(b *testing.B)   { benchSign(b, 5<<10) }
func BenchmarkSign200KiB(b *testing.B) { benchSign(b, 200<<10) }

func benchSign(b *testing.B, size int) {
	der, err := dkim.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	body := benchBodies(size)["text"]
	for _, engine := range []*dkim.Engine{dkim.OpenEngine(), dkim.GoEngine()} {
		key, err := dkim.ParseKey(der, engine)
		if err != nil {
			b.Fatal(err)
		}
		name, _, _ := strings.Cut(strings.ReplaceAll(engine.Name(), "/", "_"), " ")
		b.Run(name, func(b *testing.B) {
			signer := dkim.Signer{Domain: testDomain, Selector: testSelector, Key: key}
			bench(b, func() error {
				_, err := signer.Sign([]byte(plainHeader), body, signTime())
				return err
			})
		})
	}
	b.Run("without_rsa", func(b *testing.B) {
		signer := dkim.Signer{Domain: testDomain, Selector: testSelector, Key: dkim.IdleKey()}
		bench(b, func() error {
			_, err := signer.Sign([]byte(plainHeader), body, signTime())
			return err
		})
	})
	b.Run("msgauth", func(b *testing.B) {
		private, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			b.Fatal(err)
		}
		options := &msgauth.SignOptions{
			Domain: testDomain, Selector: testSelector, Signer: private.(crypto.Signer),
			HeaderCanonicalization: msgauth.CanonicalizationRelaxed,
			BodyCanonicalization:   msgauth.CanonicalizationRelaxed,
			HeaderKeys:             []string{"From", "From", "To", "To", "Subject", "Subject", "Date", "Message-ID"},
		}
		message := append([]byte(plainHeader+"\r\n"), body...)
		bench(b, func() error { return msgauth.Sign(io.Discard, bytes.NewReader(message), options) })
	})
}
