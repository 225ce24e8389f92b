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
	"github.com/waypost/waypost/internal/web"
)

const problemType = "application/problem+json"

// Bounds of an answer: it must not grow with the request that it refuses.
const (
	maxProblems = 20  // fields that it names
	maxLocation = 200 // bytes
	maxMessage  = 500 // bytes
)

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
	Message  string `json:"message" doc:"What is wrong there. After the first 20 fields an entry without location says how many more there are."`
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
	p.Type, p.Title, p.Detail = "about:blank", http.StatusText(p.Status), cut(p.Detail, maxMessage)
	return p
}

// list takes the first of the fields that are wrong, and says how many more there are.
func (p *problem) list(fields []problemField, total int) {
	for _, f := range fields[:min(len(fields), maxProblems)] {
		p.Errors = append(p.Errors, problemField{Location: cut(f.Location, maxLocation), Message: cut(f.Message, maxMessage)})
	}
	if more := total - len(p.Errors); more > 0 {
		p.Errors = append(p.Errors, problemField{Message: andMore(more, total)})
	}
}

// counted is the first problem of so many.
func counted(first string, total int) string {
	if total <= 1 {
		return first
	}
	return cut(first, maxMessage-50) + " (" + andMore(total-1, total) + ")"
}

func andMore(more, total int) string {
	if total >= maxChecks { // nobody looked further
		return fmt.Sprintf("and at least %d more", more)
	}
	return fmt.Sprintf("and %d more", more)
}

// cut shortens what may repeat some of a request.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func (p *problem) write(w io.Writer) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // a client that is gone reads nothing
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
	p.Status, p.retryAfter = web.Status(e.Kind)
	if e.After > 0 {
		p.retryAfter = max(1, int(e.After.Seconds()))
	}
	if p.Code == "" {
		p.Code = e.Kind.String()
	}
	list, _ := errors.AsType[account.Problems](err)
	if list == nil && e.Field != "" {
		list = account.Problems{e}
	}
	var fields []problemField
	for _, e := range list[:min(len(list), maxProblems)] {
		fields = append(fields, problemField{Location: locate(op, e.Field), Message: e.Message})
	}
	p.list(fields, len(list))
	p.Detail = counted(p.Detail, len(list))
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

// refuseInProblems makes problems of what huma finds wrong: with parameters, and with a
// body that could not be decoded though it was checked. The values it found are not
// repeated: one of them may be a password.
func refuseInProblems(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &problem{Status: m.Status, Detail: m.Detail, Code: waypost.Invalid.String()}
	if m.Status == http.StatusBadRequest {
		p.Code = "malformed"
	}
	var fields []problemField
	for _, e := range m.Errors[:min(len(m.Errors), maxProblems)] {
		if e == nil {
			continue
		}
		f := problemField{Location: e.Location, Message: e.Message}
		if f.Location == "body" {
			f.Message = "cannot be read" // the decoder's words quote values
		}
		fields = append(fields, f)
	}
	p.list(fields, len(m.Errors))
	if len(p.Errors) > 0 {
		p.Detail = counted(strings.TrimPrefix(p.Errors[0].Location+": ", ": ")+p.Errors[0].Message, len(m.Errors))
	}
	return p.complete(), nil
}
