package client

import (
	"context"
	"net/http"
	"time"
)

// PlatformDNS is what the platform's owner has to publish, as it was found just now.
type PlatformDNS struct {
	Records   []DomainRecord `json:"records"`
	CheckedAt time.Time      `json:"checked_at"`
	Rotation  DKIMRotation   `json:"rotation"`
}

// DKIMRotation is how far a rotation of the platform's DKIM keys is.
type DKIMRotation struct {
	Signing      string    `json:"signing"` // selector of the key that signs
	SigningSince time.Time `json:"signing_since"`
	Other        string    `json:"other"`
	State        string    `json:"state"` // "ready", "record", "caches" or "keeping"
	AskedAt      time.Time `json:"asked_at"`
	Until        time.Time `json:"until"` // when the next step can be, if that is known
}

// PlatformDNS checks the platform's own records. It needs a key of the platform with the
// scope operators.
func (c *Client) PlatformDNS(ctx context.Context) (PlatformDNS, error) {
	var out PlatformDNS
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/platform/dns", repeat: true}, &out)
	return out, err
}

// RotateDKIM asks for a rotation of the platform's DKIM keys, or makes the server look
// again for one that was asked for. It needs a key of the platform with the scope operators.
func (c *Client) RotateDKIM(ctx context.Context) (DKIMRotation, error) {
	var out DKIMRotation
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/platform/dkim/rotate", repeat: true}, &out)
	return out, err
}
