package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Operator is a tenant of the platform.
type Operator struct {
	ID        string    `json:"id"`
	ParentID  string    `json:"parent_id"`
	Name      string    `json:"name"`
	Product   string    `json:"product"` // servermate, cloud, on_premise
	Contact   string    `json:"contact"`
	Suspended bool      `json:"suspended"`
	Gateway   string    `json:"gateway"`          // builtin, smtp or ""
	Uncertain string    `json:"uncertain_policy"` // retry, hold, assume_delivered
	PerMinute int       `json:"per_minute"`       // 0 for no limit
	PerDay    int       `json:"per_day"`          // recipients by the built-in gateway; 0 for as many as age and record allow
	Trusted   bool      `json:"trusted"`          // no such limit, and nothing worse than a warning
	CreatedAt time.Time `json:"created_at"`
}

// NewOperator is an operator to create.
type NewOperator struct {
	Name     string `json:"name"`
	Product  string `json:"product"`
	Contact  string `json:"contact,omitempty"`
	ParentID string `json:"parent_id,omitempty"`

	Uncertain string `json:"uncertain_policy,omitempty"` // "" for retry
	PerMinute int    `json:"per_minute,omitempty"`
	PerDay    int    `json:"per_day,omitempty"`
	Trusted   bool   `json:"trusted,omitempty"`
}

// OperatorChange changes an operator; what is nil stays.
type OperatorChange struct {
	Name      *string `json:"name,omitempty"`
	Product   *string `json:"product,omitempty"`
	Contact   *string `json:"contact,omitempty"`
	PerMinute *int    `json:"per_minute,omitempty"` // 0 for no limit
	PerDay    *int    `json:"per_day,omitempty"`    // 0 for as many as age and record allow
	Trusted   *bool   `json:"trusted,omitempty"`
	ParentID  *string `json:"parent_id,omitempty"` // "" directly under the platform
	Suspended *bool   `json:"suspended,omitempty"`
	Uncertain *string `json:"uncertain_policy,omitempty"`
}

// Operators goes through all operators, oldest first.
func (c *Client) Operators(ctx context.Context) iter.Seq2[Operator, error] {
	return list[Operator](ctx, c, "/v1/operators", url.Values{})
}

// CreateOperator creates an operator.
func (c *Client) CreateOperator(ctx context.Context, o NewOperator) (Operator, error) {
	var out Operator
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/operators", body: o}, &out)
	return out, err
}

// GetOperator reads an operator.
func (c *Client) GetOperator(ctx context.Context, id string) (Operator, error) {
	var out Operator
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/operators/" + url.PathEscape(id), repeat: true}, &out)
	return out, err
}

// ChangeOperator changes an operator and returns it.
func (c *Client) ChangeOperator(ctx context.Context, id string, o OperatorChange) (Operator, error) {
	var out Operator
	_, err := c.do(ctx, call{method: http.MethodPatch, path: "/v1/operators/" + url.PathEscape(id), body: o, repeat: true}, &out)
	return out, err
}

// DeleteOperator deletes an operator with all it has but counters and the audit log. It
// cannot be undone.
func (c *Client) DeleteOperator(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/operators/" + url.PathEscape(id)}, nil)
	return err
}

// Credential is an API key as it is shown.
type Credential struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Hint        string    `json:"hint"`
	Networks    []string  `json:"networks"`
	Scopes      []string  `json:"scopes"`
	Test        bool      `json:"test"`
	DefaultKind string    `json:"default_kind"`
	FromPolicy  string    `json:"from_policy"`
	CreatedAt   time.Time `json:"created_at"`
	LastUsedAt  time.Time `json:"last_used_at"`  // zero: never
	RevokedAt   time.Time `json:"revoked_at"`    // zero: valid
	Key         string    `json:"key,omitempty"` // only in the answer to CreateCredential
}

// NewCredential is an API key to create for an operator.
type NewCredential struct {
	Name        string   `json:"name,omitempty"`
	Networks    []string `json:"networks,omitempty"`
	Scopes      []string `json:"scopes,omitempty"`
	Test        bool     `json:"test,omitempty"`
	DefaultKind string   `json:"default_kind,omitempty"`
	FromPolicy  string   `json:"from_policy,omitempty"`
}

// Credentials lists an operator's keys, revoked ones too.
func (c *Client) Credentials(ctx context.Context, operatorID string) ([]Credential, error) {
	var out Page[Credential]
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/operators/" + url.PathEscape(operatorID) + "/credentials", repeat: true}, &out)
	return out.Items, err
}

// CreateCredential creates a key for an operator. Its Key cannot be read again.
func (c *Client) CreateCredential(ctx context.Context, operatorID string, n NewCredential) (Credential, error) {
	var out Credential
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/operators/" + url.PathEscape(operatorID) + "/credentials", body: n}, &out)
	return out, err
}

// RevokeCredential ends a key's validity.
func (c *Client) RevokeCredential(ctx context.Context, operatorID, id string) error {
	path := "/v1/operators/" + url.PathEscape(operatorID) + "/credentials/" + url.PathEscape(id)
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path}, nil)
	return err
}
