package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client talks to one server with one key. It is safe for concurrent use once it is
// set up.
type Client struct {
	BaseURL  string       // "https://mail.example.com", without /v1
	Key      string       // API key
	Operator string       // id of the operator to act for; only for keys of the platform
	HTTP     *http.Client // New sets one with a timeout of 90 s
	Retries  int          // how often a request that can be repeated is, after 429, 503, 507 or a lost connection; 0: never
}

// New returns a client.
func New(baseURL, key string) *Client {
	return &Client{BaseURL: strings.TrimRight(baseURL, "/"), Key: key, HTTP: &http.Client{Timeout: 90 * time.Second}}
}

// For returns a client that acts for an operator, given by id. It needs a key of the
// platform.
func (c *Client) For(operatorID string) *Client {
	other := *c
	other.Operator = operatorID
	return &other
}

// Error is what the server refused (RFC 9457).
type Error struct {
	Status     int           `json:"status"`
	Title      string        `json:"title"`
	Detail     string        `json:"detail"` // for people
	Code       string        `json:"code"`   // for programs
	Fields     []FieldError  `json:"errors"`
	ErrorID    string        `json:"error_id"` // of a server's own failure: its log has the cause
	RetryAfter time.Duration `json:"-"`        // 0 if the server did not say
}

// FieldError is one wrong field of a request.
type FieldError struct {
	Location string `json:"location"` // "body.gateway.auth.password", "query.limit"
	Message  string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("waypost: %d %s: %s", e.Status, e.Code, e.Detail)
	if e.ErrorID != "" {
		text += " (" + e.ErrorID + ")"
	}
	return text
}

// Temporary reports whether the same request may succeed later.
func (e *Error) Temporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInsufficientStorage, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Is reports whether err is an *Error with a code.
func Is(err error, code string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}

// call is one request.
type call struct {
	method string
	path   string
	query  url.Values
	header http.Header
	body   any // nil for none
	repeat bool

	file     []byte // the body as it is, instead
	fileType string
}

// do makes a request and decodes its JSON answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, r call, out any) (http.Header, error) {
	res, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if out == nil || res.StatusCode == http.StatusNoContent {
		return res.Header, nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return nil, fmt.Errorf("waypost: read answer of %s: %w", r.path, err)
	}
	return res.Header, nil
}

// raw downloads an answer that is not JSON.
func (c *Client) raw(ctx context.Context, path string) ([]byte, error) {
	res, err := c.send(ctx, call{method: http.MethodGet, path: path, repeat: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("waypost: read %s: %w", path, err)
	}
	return body, nil
}

// send makes a request, again if it may be repeated, until it is answered. The answer
// is a success, and its body is to be closed.
func (c *Client) send(ctx context.Context, r call) (*http.Response, error) {
	body := r.file
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("waypost: write request: %w", err)
		}
	}
	for try := 0; ; try++ {
		res, err := c.once(ctx, r, body)
		if err == nil {
			return res, nil
		}
		wait := time.Second << min(try, 5)
		if e, ok := errors.AsType[*Error](err); ok {
			if !e.Temporary() {
				return nil, err
			}
			wait = max(wait, e.RetryAfter)
		}
		if !r.repeat || try >= c.Retries || ctx.Err() != nil {
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

func (c *Client) once(ctx context.Context, r call, body []byte) (*http.Response, error) {
	target := c.BaseURL + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("waypost: %w", err)
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("Authorization", "Bearer "+c.Key)
	if c.Operator != "" {
		req.Header.Set("X-Waypost-Operator", c.Operator)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	} else if r.fileType != "" {
		req.Header.Set("Content-Type", r.fileType)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("waypost: %w", err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	return nil, refusal(res)
}

func refusal(res *http.Response) *Error {
	e := &Error{}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if json.Unmarshal(text, e) != nil || e.Code == "" {
		e.Code, e.Detail = "unknown", "the answer is not Waypost's: "+string(text[:min(len(text), 200)])
	}
	e.Status = res.StatusCode
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // cursor of what follows, "" at the end
}

// all goes through a list page by page.
func all[T any](query url.Values, fetch func(url.Values) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			items, next, err := fetch(query)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			query.Set("cursor", next)
		}
	}
}

// list goes through a list that has no more than items and next.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return all(query, func(q url.Values) ([]T, string, error) {
		var page Page[T]
		_, err := c.do(ctx, call{method: http.MethodGet, path: path, query: q, repeat: true}, &page)
		return page.Items, page.Next, err
	})
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func setTime(q url.Values, name string, t time.Time) {
	if !t.IsZero() {
		q.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}
