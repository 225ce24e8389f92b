package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	maxAnswer = 64 << 10 // bytes of an answer's body that are read, so that its connection can be kept
	maxShown  = 1024     // characters of it that are kept
	maxWords  = 300      // of an error
	bodyTime  = 2 * time.Second
	quick     = 3 * time.Second
)

// outcome is how an attempt ended.
type outcome struct {
	waypost.WebhookAttempt
	wait  time.Duration // asked for by the endpoint
	quick bool          // it answered soon, whatever it said
	moved bool          // the webhook has another URL by now: it tells nothing about that one
}

// secrets opens the secrets that a call is signed with now.
func (h *Webhooks) secrets(w *store.StoredWebhook, now time.Time) ([][]byte, error) {
	sealed := [][]byte{w.Sealed}
	if len(w.OldSealed) > 0 && now.Before(w.OldSecret) {
		sealed = append(sealed, w.OldSealed)
	}
	open := make([][]byte, len(sealed))
	for i, s := range sealed {
		var err error
		if open[i], err = h.o.Ring.Open(waypost.WebhookSecretContext(w.ID), s); err != nil {
			return nil, fmt.Errorf("secret of webhook %s: %w", w.ID, err)
		}
	}
	return open, nil
}

// post makes one attempt of a call. Nothing of the endpoint takes longer than the timeout.
func (h *Webhooks) post(ctx context.Context, url string, secrets [][]byte, id string, body []byte, timeout time.Duration) outcome {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	o := h.exchange(ctx, cancel, url, secrets, id, body, began)
	o.At, o.Took = began, time.Since(began)
	o.quick = o.Status != 0 && o.Took < quick
	if o.Error == "" && (o.Status < 200 || o.Status > 299) {
		o.Error = "answered " + statusWords(o.Status)
	}
	return o
}

func (h *Webhooks) exchange(ctx context.Context, cancel func(), url string, secrets [][]byte, id string, body []byte, now time.Time) (o outcome) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		o.Error = "the URL cannot be called"
		return o
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", h.o.UserAgent)
	req.Header.Set(headerID, id)
	req.Header.Set(headerTimestamp, timestamp(now))
	req.Header.Set(headerSignature, signature(secrets, id, now, body))
	// It may be repeated on another connection when the kept one turns out to be closed. An
	// empty value says so and is not sent (net/http).
	req.Header["Idempotency-Key"] = nil
	res, err := h.o.Web.Do(req)
	if err != nil {
		o.Error = words(err)
		return o
	}
	defer func() { _ = res.Body.Close() }()
	o.Status = res.StatusCode
	o.wait = asked(res.StatusCode, res.Header, now)
	// The status has decided. The body is for people, and to keep the connection.
	stop := time.AfterFunc(bodyTime, cancel)
	defer stop.Stop()
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	o.Answer = shown(text)
	return o
}

func statusWords(status int) string {
	text := strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
	if status >= 300 && status < 400 {
		text += "; redirects are not followed"
	}
	return text
}

// shown is the beginning of an answer, safe to keep and to show to people.
func shown(text []byte) string {
	n := 0
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case n >= maxShown:
			return -1
		case r == '\n' || r == '\t':
		case waypost.Misleading(r):
			return -1
		}
		n++
		return r
	}, strings.ToValidUTF8(string(text), "\uFFFD")))
}

// words says in one line for people what went wrong. It is about the endpoint and names no
// address: that would tell what a name resolves to in our network.
func words(err error) string {
	text := meaning(err)
	text = strings.Map(func(r rune) rune {
		if waypost.Misleading(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + " ..."
	}
	return text
}

func meaning(err error) string {
	if e, ok := errors.AsType[*guard.Refused](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*dns.Error](err); ok {
		told := *e
		told.Server, told.Err = "", nil
		return told.Error()
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return "DNS lookup of " + e.Name + ": no such host"
		}
		return "DNS lookup of " + e.Name + " failed"
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not trusted: " + e.Err.Error()
	}
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), ok && timeout.Timeout():
		return "no whole answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closed the connection"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		told := *e
		told.Net, told.Source, told.Addr = "", nil, nil
		return told.Error()
	}
	return err.Error()
}
