package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/waypost"
)

const problemType = "application/problem+json"

// problem is an error answer (RFC 9457). Type is "about:blank": Code tells problems
// apart.
type problem struct {
	Type    string         `json:"type" enum:"about:blank"`
	Title   string         `json:"title" doc:"The name of the status."`
	Status  int            `json:"status"`
	Detail  string         `json:"detail" doc:"What is wrong, for people."`
	Code    string         `json:"code" doc:"What is wrong, for programs; codes are added to, never renamed."`
	Errors  []problemField `json:"errors,omitempty" nullable:"false" doc:"What is wrong, field by field."`
	ErrorID string         `json:"error_id,omitempty" doc:"With status 500: under this id the server's log has the cause."`

	retryAfter int // seconds, 0 for none
}

// problemField is one wrong field of a request.
type problemField struct {
	Location string `json:"location,omitempty" doc:"Where, for example body.gateway.auth.password or query.limit."`
	Message  string `json:"message"`
}

// Error implements error.
func (p *problem) Error() string { return p.Detail }

// GetStatus tells huma the status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType tells huma the media type.
func (p *problem) ContentType(string) string { return problemType }

// GetHeaders tells huma the headers that go with the answer.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110 section 11.6.1
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	return h
}

func (p *problem) complete() *problem {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	return p
}

func (p *problem) write(w io.Writer) {
	_ = json.NewEncoder(w).Encode(p) // a client that is gone reads nothing
}

// statusOf is the one place where kinds of errors become statuses.
func statusOf(kind waypost.ErrorKind) (status, retryAfter int) {
	switch kind {
	case waypost.Invalid:
		return http.StatusUnprocessableEntity, 0
	case waypost.Unauthenticated:
		return http.StatusUnauthorized, 0
	case waypost.Forbidden:
		return http.StatusForbidden, 0
	case waypost.NotFound:
		return http.StatusNotFound, 0
	case waypost.Conflict, waypost.NoGateway:
		return http.StatusConflict, 0
	case waypost.TooLarge:
		return http.StatusRequestEntityTooLarge, 0
	case waypost.RateLimited:
		return http.StatusTooManyRequests, 30
	case waypost.StorageFull:
		return http.StatusInsufficientStorage, 60
	case waypost.Unavailable:
		return http.StatusServiceUnavailable, 5
	case waypost.Internal:
	}
	return http.StatusInternalServerError, 0
}

// problem turns any error into an answer. What is not meant for the client goes to the
// log under an id, and the client is told the id only.
func (s *server) problem(ctx context.Context, op *huma.Operation, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p.complete()
	}
	e := waypost.AsError(err)
	switch {
	case e.Kind != waypost.Internal:
	case ctx.Err() != nil:
		e = waypost.NewError(waypost.Unavailable, "unavailable", "the request was given up")
	default:
		return s.internal(ctx, op, err)
	}
	p := &problem{Code: e.Code, Detail: e.Message}
	p.Status, p.retryAfter = statusOf(e.Kind)
	if p.Code == "" {
		p.Code = e.Kind.String()
	}
	list, _ := errors.AsType[account.Problems](err)
	if list == nil && e.Field != "" {
		list = account.Problems{e}
	}
	for _, e := range list {
		p.Errors = append(p.Errors, problemField{Location: locate(op, e.Field), Message: e.Message})
	}
	if n := len(list); n > 1 {
		p.Detail = fmt.Sprintf("%s (and %d more)", p.Detail, n-1)
	}
	return p.complete()
}

// internal logs an error and returns an answer that tells nothing of it.
func (s *server) internal(ctx context.Context, op *huma.Operation, err error) *problem {
	p := &problem{
		Status: http.StatusInternalServerError, Code: "internal", ErrorID: rand.Text()[:10],
		Detail: "internal error; the server's log has the cause under this error_id",
	}
	id := ""
	if op != nil {
		id = op.OperationID
	}
	s.Log.ErrorContext(ctx, "request failed", slog.String("error_id", p.ErrorID), slog.String("operation", id), obs.Error(err))
	return p.complete()
}

// locate writes where in a request a field is: "body.settings.from", "query.address".
func locate(op *huma.Operation, field string) string {
	if op == nil || field == "" {
		return field
	}
	for _, p := range op.Parameters {
		if strings.EqualFold(p.Name, field) {
			return p.In + "." + p.Name
		}
	}
	if op.RequestBody != nil {
		return "body." + field
	}
	return field
}

// below moves the fields of an error into a field that holds them.
func below(field string, err error) error {
	moved := func(e *waypost.Error) *waypost.Error {
		c := *e
		c.Field = field + "." + e.Field
		return &c
	}
	if list, ok := errors.AsType[account.Problems](err); ok {
		out := make(account.Problems, len(list))
		for i, e := range list {
			out[i] = moved(e)
		}
		return out
	}
	if e, ok := errors.AsType[*waypost.Error](err); ok && e.Field != "" {
		return moved(e)
	}
	return err
}

// refuseInProblems makes problems of what huma finds wrong. The values it found are not
// repeated: one of them may be a password.
func refuseInProblems(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &problem{Status: m.Status, Detail: m.Detail, Code: waypost.Invalid.String()}
	switch m.Status {
	case http.StatusBadRequest:
		p.Code, p.Detail = "malformed", "the request is not valid JSON"
		if len(m.Errors) == 0 {
			p.Detail = m.Detail
		}
	case http.StatusUnsupportedMediaType:
		p.Code, p.Detail, m.Errors = "unsupported_media_type", "send Content-Type: application/json", nil
	}
	for _, e := range m.Errors {
		if e != nil {
			p.Errors = append(p.Errors, problemField{Location: e.Location, Message: e.Message})
		}
	}
	if len(p.Errors) > 0 && m.Status == http.StatusUnprocessableEntity {
		p.Detail = strings.TrimPrefix(p.Errors[0].Location+": ", ": ") + p.Errors[0].Message
		if n := len(p.Errors); n > 1 {
			p.Detail = fmt.Sprintf("%s (and %d more)", p.Detail, n-1)
		}
	}
	return p.complete(), nil
}
