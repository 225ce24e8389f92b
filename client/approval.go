package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// WaitingSender is a sender that the platform's support decides about.
type WaitingSender struct {
	ID           string    `json:"id"`
	Address      string    `json:"address"`
	Name         string    `json:"name"`
	OperatorID   string    `json:"operator_id"`
	OperatorName string    `json:"operator_name"`
	DomainState  string    `json:"domain_state"` // "unclaimed", "claimed", "proven", "authorized" or "platform"
	CreatedAt    time.Time `json:"created_at"`
}

// WaitingSenders goes through the requested senders of all operators, oldest first. It
// takes a key of the platform, as all below does.
func (c *Client) WaitingSenders(ctx context.Context) iter.Seq2[WaitingSender, error] {
	return list[WaitingSender](ctx, c, "/v1/platform/senders", url.Values{})
}

// ApproveSender assigns a sender after a test mail with it was received and believed.
// force approves it where the server cannot receive one.
func (c *Client) ApproveSender(ctx context.Context, id string, force bool) (Sender, error) {
	var out Sender
	body := map[string]bool{"force": force}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/platform/senders/" + url.PathEscape(id) + "/approve", body: body}, &out)
	return out, err
}

// RejectSender rejects a sender; the operator may read the reason.
func (c *Client) RejectSender(ctx context.Context, id, reason string) (Sender, error) {
	var out Sender
	body := map[string]string{"reason": reason}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/platform/senders/" + url.PathEscape(id) + "/reject", body: body}, &out)
	return out, err
}

// WaitingDomain is a domain without an ownership key.
type WaitingDomain struct {
	ID           string    `json:"id"`
	Domain       string    `json:"domain"`
	OperatorID   string    `json:"operator_id"`
	OperatorName string    `json:"operator_name"`
	CreatedAt    time.Time `json:"created_at"`
}

// WaitingDomains goes through the domains of all operators that wait for the key of the
// upstream relay, oldest first.
func (c *Client) WaitingDomains(ctx context.Context) iter.Seq2[WaitingDomain, error] {
	return list[WaitingDomain](ctx, c, "/v1/platform/domains", url.Values{})
}

// SetDomainKey enters the upstream's key of a domain.
func (c *Client) SetDomainKey(ctx context.Context, id, key string) (Domain, error) {
	var out Domain
	body := map[string]string{"key": key}
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/v1/platform/domains/" + url.PathEscape(id) + "/key", body: body, repeat: true}, &out)
	return out, err
}
