package obs

import (
	"context"
	"io"
	"log/slog"
)

// The attribute keys of the log. A fact has the same key wherever it is logged.
const (
	KeyOperator   = "operator"   // operator id
	KeyMessage    = "message"    // message id
	KeyDelivery   = "delivery"   // delivery id
	KeyAttempt    = "attempt"    // number of the attempt, 1 for the first
	KeyRoute      = "route"      // waypost.RouteKind
	KeyHost       = "host"       // MX host or relay
	KeyCredential = "credential" // credential id
	KeyPeer       = "peer"       // client address
	KeyError      = "error"
)

// Error returns the attribute of an error.
func Error(err error) slog.Attr { return slog.Any(KeyError, err) }

// Log is the logger of the process and the buffer behind it.
type Log struct {
	*slog.Logger
	out *Writer
}

// NewLog returns a logger that writes lines of logfmt, or of JSON if json is set, to
// w through a buffer. A line of level Error is written at once, with all before it.
func NewLog(w io.Writer, level slog.Leveler, json bool) *Log {
	out := NewWriter(w)
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(out, options)
	if json {
		handler = slog.NewJSONHandler(out, options)
	}
	return &Log{Logger: slog.New(flushing{handler, out}), out: out}
}

// Flush writes what is buffered.
func (l *Log) Flush() error { return l.out.Flush() }

// Close writes what is buffered. Lines logged afterwards are written one by one.
func (l *Log) Close() error { return l.out.Close() }

// flushing is a handler whose errors do not wait in the buffer.
type flushing struct {
	slog.Handler
	out *Writer
}

func (h flushing) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if err == nil && r.Level >= slog.LevelError {
		err = h.out.Flush()
	}
	return err
}

func (h flushing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return flushing{h.Handler.WithAttrs(attrs), h.out}
}

func (h flushing) WithGroup(name string) slog.Handler {
	return flushing{h.Handler.WithGroup(name), h.out}
}
