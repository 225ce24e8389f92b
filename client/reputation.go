package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Reputation is how the built-in gateway treats an operator's mail.
type Reputation struct {
	Level    string          `json:"level"` // "ok", "warned", "slowed" or "paused"
	Since    time.Time       `json:"since"` // zero while ok
	Cause    string          `json:"cause"` // "bounces", "complaints" or ""
	Trusted  bool            `json:"trusted"`
	SlowedTo int             `json:"slowed_to"` // recipients a minute on each node; 0 for any number
	Day      GatewayFigures  `json:"day"`
	Week     GatewayFigures  `json:"week"`
	Limit    int             `json:"daily_limit"` // recipients in 24 hours; 0 for any number
	Used     int64           `json:"daily_used"`
	Rates    ReputationRates `json:"rates"`
}

// GatewayFigures are what became of mail on the built-in gateway.
type GatewayFigures struct {
	Ended          int64   `json:"ended"`
	Bounced        int64   `json:"bounced"` // to addresses that do not exist
	Complaints     int64   `json:"complaints"`
	BounceShare    float64 `json:"bounce_percent"`
	ComplaintShare float64 `json:"complaint_percent"`
}

// ReputationRates are the shares from which on something happens, in percent.
type ReputationRates struct {
	BounceWarn     float64 `json:"bounce_warn"`
	BounceSlow     float64 `json:"bounce_slow"`
	BouncePause    float64 `json:"bounce_pause"`
	ComplaintWarn  float64 `json:"complaint_warn"`
	ComplaintSlow  float64 `json:"complaint_slow"`
	ComplaintPause float64 `json:"complaint_pause"`
}

// Reputation reads how the built-in gateway treats the operator's mail.
func (c *Client) Reputation(ctx context.Context) (Reputation, error) {
	var out Reputation
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/reputation", repeat: true}, &out)
	return out, err
}

// OperatorReputation is Reputation of any operator; it takes a key of the platform.
func (c *Client) OperatorReputation(ctx context.Context, operatorID string) (Reputation, error) {
	var out Reputation
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/operators/" + url.PathEscape(operatorID) + "/reputation", repeat: true}, &out)
	return out, err
}

// LiftReputation lets an operator's mail go again: its figures count anew, and its limit of
// recipients a day starts over. It takes a key of the platform.
func (c *Client) LiftReputation(ctx context.Context, operatorID string) (Reputation, error) {
	var out Reputation
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/operators/" + url.PathEscape(operatorID) + "/reputation/lift", repeat: true}, &out)
	return out, err
}
