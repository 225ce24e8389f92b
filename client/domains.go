package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Domain is a DNS domain of an operator.
type Domain struct {
	ID           string         `json:"id"`
	Domain       string         `json:"domain"`
	State        string         `json:"state"` // "claimed", "proven" or "authorized"
	ReturnPath   bool           `json:"return_path"`
	ProvenAt     time.Time      `json:"proven_at"`
	AuthorizedAt time.Time      `json:"authorized_at"`
	CheckedAt    time.Time      `json:"checked_at"`
	NextCheckAt  time.Time      `json:"next_check_at"`
	CreatedAt    time.Time      `json:"created_at"`
	Records      []DomainRecord `json:"records"`
	Zone         string         `json:"zone"` // what is still to be published, as lines of a zone file
}

// DomainRecord is a record to publish and what was found of it.
type DomainRecord struct {
	Part     string `json:"part"` // "ownership", "spf", "dkim1", "dkim2", "dmarc" or "return_path"
	Required bool   `json:"required"`
	Record   struct {
		Type  string `json:"type"`
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"record"`
	Found   []string `json:"found"`
	Verdict string   `json:"verdict"` // "ok", "missing", "wrong" or "unknown"
	Advice  []struct {
		Code  string `json:"code"`
		Level string `json:"level"`
		Text  string `json:"text"`
	} `json:"advice"`
	Servers string `json:"servers"`
}

// Domains lists the operator's domains.
func (c *Client) Domains(ctx context.Context) ([]Domain, error) {
	var page Page[Domain]
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/domains", repeat: true}, &page)
	return page.Items, err
}

// ClaimDomain claims a domain; the answer has the records to publish.
func (c *Client) ClaimDomain(ctx context.Context, domain string) (Domain, error) {
	var out Domain
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/domains", body: map[string]string{"domain": domain}}, &out)
	return out, err
}

// Domain shows a domain as of its last check.
func (c *Client) Domain(ctx context.Context, id string) (Domain, error) {
	var out Domain
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/domains/" + url.PathEscape(id), repeat: true}, &out)
	return out, err
}

// CheckDomain checks a domain now.
func (c *Client) CheckDomain(ctx context.Context, id string) (Domain, error) {
	var out Domain
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/domains/" + url.PathEscape(id) + "/check"}, &out)
	return out, err
}

// Link is a link to a page with a domain's records.
type Link struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// LinkDomain makes a link for whoever runs a domain's DNS. It works for days, 1 to 30.
func (c *Client) LinkDomain(ctx context.Context, id string, days int) (Link, error) {
	var out Link
	body := map[string]int{"days": days}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/domains/" + url.PathEscape(id) + "/link", body: body}, &out)
	return out, err
}

// RemoveDomain gives a domain up.
func (c *Client) RemoveDomain(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/domains/" + url.PathEscape(id)}, nil)
	return err
}
