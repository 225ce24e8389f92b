package obs

import (
	"io"
	"sync"
	"time"
)

// FlushInterval is the longest time a log line waits in the buffer, and so the most
// of the log that a killed process loses.
const FlushInterval = 200 * time.Millisecond

const bufferSize = 64 << 10 // bytes

// Writer is a buffer in front of a writer that is given whole lines. What comes
// after a pause of FlushInterval is written at once; what follows within
// FlushInterval is written together at its end, or when 64 KiB have come together.
// It is safe for concurrent use, and has no goroutine while nothing is written.
type Writer struct {
	mu     sync.Mutex
	w      io.Writer
	buf    []byte
	timer  *time.Timer // of the running interval
	paused bool        // no interval is running
	closed bool
	err    error // the first of w since the last Flush
}

// NewWriter returns a buffer in front of w.
func NewWriter(w io.Writer) *Writer {
	out := &Writer{w: w, buf: make([]byte, 0, bufferSize), paused: true}
	out.timer = time.AfterFunc(FlushInterval, out.tick)
	out.timer.Stop()
	return out
}

// Write takes a line. Its error, if any, is of writing earlier lines: those are lost,
// since keeping what cannot be written would fill the memory.
func (b *Writer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.buf)+len(line) > bufferSize {
		b.flush()
	}
	if len(line) > bufferSize { // longer than the buffer, which is empty now
		b.write(line)
	} else {
		b.buf = append(b.buf, line...)
	}
	if b.closed {
		b.flush()
	} else if b.paused {
		b.flush()
		b.paused = false
		b.timer.Reset(FlushInterval)
	}
	return len(line), b.takeError()
}

// tick ends an interval, and starts the next if there was anything to write.
func (b *Writer) tick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	if len(b.buf) == 0 {
		b.paused = true
		return
	}
	b.flush()
	b.timer.Reset(FlushInterval)
}

// Flush writes what is buffered and returns the first error since the last one told.
func (b *Writer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
	return b.takeError()
}

// Close is Flush, after which nothing is buffered any more. It may be called twice.
// It does not close the writer behind.
func (b *Writer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.timer.Stop()
	b.flush()
	return b.takeError()
}

func (b *Writer) flush() {
	if len(b.buf) > 0 {
		b.write(b.buf)
		b.buf = b.buf[:0]
	}
}

func (b *Writer) write(p []byte) {
	if _, err := b.w.Write(p); err != nil && b.err == nil {
		b.err = err
	}
}

func (b *Writer) takeError() error {
	err := b.err
	b.err = nil
	return err
}
