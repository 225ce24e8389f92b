package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/obs"
)

// writeTime is how long an answer may take from the request on: a test mail waits for a
// minute, a raw message takes its time on a slow line.
const writeTime = 5 * time.Minute

type recordKey struct{}

// record is what the log says about a request.
type record struct {
	caller *caller
}

// note keeps who asked for the log.
func note(ctx context.Context, c *caller) {
	if r, ok := ctx.Value(recordKey{}).(*record); ok {
		r.caller = c
	}
}

// observe is the outermost handler.
func (s *server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		_ = http.NewResponseController(w).SetWriteDeadline(began.Add(writeTime)) // else the server's own

		rec := &record{}
		ctx := context.WithValue(r.Context(), recordKey{}, rec)
		ctx = context.WithValue(ctx, peerKey{}, s.front.Peer(r))
		out := &response{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				s.recovered(ctx, out, p)
			}
			s.logged(ctx, r, rec, out.status, time.Since(began))
		}()
		next.ServeHTTP(out, r.WithContext(ctx))
	})
}

// recovered answers for a handler that panicked.
func (s *server) recovered(ctx context.Context, w *response, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	if w.failed != nil {
		return // huma panics when the client is gone
	}
	answer := s.internal(ctx, nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	if w.status == 0 {
		s.answer(w, answer)
	}
}

func (s *server) logged(ctx context.Context, r *http.Request, rec *record, status int, took time.Duration) {
	if !s.Log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.Int("status", status), slog.Int64("took_ms", took.Milliseconds()),
		slog.String(obs.KeyPeer, peerOf(ctx)),
	}
	if c := rec.caller; c != nil {
		attrs = append(attrs, slog.String("operation", c.operation.OperationID), slog.String(obs.KeyCredential, c.principal.CredentialID))
		if c.account != nil {
			attrs = append(attrs, slog.String(obs.KeyOperator, c.account.ID))
		}
	}
	s.Log.LogAttrs(ctx, slog.LevelDebug, "request", attrs...)
}

// answer writes a problem outside of huma.
func (s *server) answer(w http.ResponseWriter, p *problem) {
	maps.Copy(w.Header(), p.complete().GetHeaders())
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	p.write(w)
}

// Bounds of the part of a URL behind "?". No list has so many parameters; taken apart
// they take a hundred times their size, and that is before anybody showed a key.
const (
	maxQuery      = 16 << 10 // bytes
	maxParameters = 100
)

// unmatched answers for paths and methods that do not exist, for too many parameters,
// and for text that no database takes.
func (s *server) unmatched(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.RawQuery; len(q) > maxQuery || strings.Count(q, "&") >= maxParameters {
			s.answer(w, &problem{
				Status: http.StatusRequestURITooLong, Code: "url_too_long", Detail: "the URL has too many or too long parameters",
			})
			return
		}
		if !storable(r.URL.Path) || !storableQuery(r) {
			s.answer(w, &problem{
				Status: http.StatusBadRequest, Code: "malformed", Detail: "the URL has a NUL, or is not UTF-8",
			})
			return
		}
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r) // not h: this one sets the values of the path
			return
		}
		found := &discarded{header: http.Header{}}
		h.ServeHTTP(found, r)
		switch found.status {
		case http.StatusMethodNotAllowed:
			allow := found.header.Get("Allow")
			w.Header().Set("Allow", allow)
			s.answer(w, &problem{Status: found.status, Code: "method_not_allowed", Detail: "this path takes " + allow})
		case http.StatusNotFound:
			s.answer(w, &problem{Status: found.status, Code: "not_found", Detail: "there is no such path; /docs lists all"})
		default: // a redirect to the clean path
			h.ServeHTTP(w, r)
		}
	})
}

func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func storableQuery(r *http.Request) bool {
	if r.URL.RawQuery == "" {
		return true
	}
	for name, values := range r.URL.Query() {
		if !storable(name) {
			return false
		}
		for _, v := range values {
			if !storable(v) {
				return false
			}
		}
	}
	return true
}

// response remembers what became of an answer.
type response struct {
	http.ResponseWriter
	status int
	failed error // of the first write that did
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	if err != nil && w.failed == nil {
		w.failed = err
	}
	return n, err
}

// discarded is an answer that only shows its status and header.
type discarded struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (d *discarded) Header() http.Header { return d.header }

// WriteHeader implements http.ResponseWriter.
func (d *discarded) WriteHeader(status int) { d.status = status }

// Write implements http.ResponseWriter.
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
