package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/waypost/waypost/internal/waypost"
)

const (
	metaMaxBody  = "max_body"
	metaConsumes = "consumes"

	defaultMaxBody = 1 << 20
	smallBody      = 64 << 10 // up to here a body counts among the small ones
	// smallBudget is memory for small bodies alone, so that large ones never keep them
	// out: thousands of alerts, some two hundred of the largest.
	smallBudget = 64 << 20
	// bodyWeight is how many bytes of memory a byte of a body may hold at once on its way:
	// as read, decoded, composed and handed over. That is so because checkBody lets nothing
	// through that takes much more decoded than written.
	bodyWeight = 5

	// A body must arrive within bodyTime, and a second more for each bodyRate bytes.
	bodyTime = 30 * time.Second
	bodyRate = 64 << 10
)

// maxMessageBody is how large a request may be whose attachments make a message of the
// allowed size: base64 makes four bytes of three.
func (s *server) maxMessageBody() int64 { return s.MaxMessageSize/3*4 + 1<<20 }

// body is the middleware that reads and checks request bodies. For a large one memory is
// taken from the budget as the bytes arrive, so a client that is slow holds only what it
// has sent. A small one takes its share when it is there: however slow their clients
// are, nobody waits for them.
func (s *server) body(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	if op.RequestBody == nil {
		next(ctx)
		return
	}
	consumes, _ := op.Metadata[metaConsumes].([]string)
	if len(consumes) > 0 {
		if kind, _, err := mime.ParseMediaType(ctx.Header("Content-Type")); err != nil || !slices.Contains(consumes, kind) {
			s.refuse(ctx, &problem{
				Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "send Content-Type: " + strings.Join(consumes, " or "),
			})
			return
		}
	} else if s.api.Unmarshal(ctx.Header("Content-Type"), []byte("null"), new(any)) != nil {
		s.refuse(ctx, &problem{
			Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "send Content-Type: application/json",
		})
		return
	}
	limit, _ := op.Metadata[metaMaxBody].(int64)
	if limit == 0 {
		limit = defaultMaxBody
	}
	var taken, small int64
	release := sync.OnceFunc(func() {
		s.budget.Release(taken)
		s.small.Release(small)
	})
	defer release()
	r, w := humago.Unwrap(ctx)
	data, err := readBody(r, http.NewResponseController(w), limit, func(n int64) bool {
		ok := s.budget.TryAcquire(bodyWeight * n)
		if ok {
			taken += bodyWeight * n
		}
		return ok
	})
	if err == nil && taken == 0 {
		if small = bodyWeight * int64(len(data)); !s.small.TryAcquire(small) {
			small, err = 0, waypost.NewError(waypost.Unavailable, "busy", "too many requests at once; try again")
		}
	}
	if err == nil && len(data) > 0 && len(consumes) == 0 { // huma says it if there is none
		err = s.checkBody(op, data)
	}
	if err != nil {
		release() // a client that does not take its answer holds nothing
		s.refuse(ctx, err)
		return
	}
	callerOf(ctx.Context()).release = release
	next(&bodyContext{inner: ctx, body: data})
}

// readBody reads a body of at most limit bytes. take is asked for memory.
func readBody(r *http.Request, conn *http.ResponseController, limit int64, take func(int64) bool) ([]byte, error) {
	tooLarge := waypost.NewError(waypost.TooLarge, "body_too_large", fmt.Sprintf("the request has more than %d bytes", limit))
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	size := limit
	if r.ContentLength >= 0 {
		size = r.ContentLength
	}
	// A deadline that cannot be set is the server's own to keep.
	_ = conn.SetReadDeadline(time.Now().Add(bodyTime + time.Duration(size/bodyRate)*time.Second))
	defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	buf := make([]byte, 0, min(size+1, smallBody)) // one more byte, to see the end
	for {
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, tooLarge
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, bodyError(err)
		case len(buf) == cap(buf):
			larger := min(2*int64(cap(buf)), size+1)
			if !take(larger - int64(cap(buf))) {
				return nil, waypost.NewError(waypost.Unavailable, "busy", "too many large requests at once; try again")
			}
			buf = append(make([]byte, 0, larger), buf...)
		}
	}
}

func bodyError(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return &problem{Status: http.StatusRequestTimeout, Code: "timeout", Detail: "the request did not arrive in time"}
	}
	return &problem{Status: http.StatusBadRequest, Code: "malformed", Detail: "the request could not be read to its end"}
}

type inner = huma.Context

// bodyContext is a request whose body is in memory.
type bodyContext struct {
	inner
	body []byte
}

// Unwrap lets the adapter find its own context.
func (c *bodyContext) Unwrap() huma.Context { return c.inner }

// BodyReader gives the body once and lets go of it.
func (c *bodyContext) BodyReader() io.Reader {
	r := bytes.NewReader(c.body)
	c.body = nil
	return r
}
