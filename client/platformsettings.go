package client

import (
	"context"
	"net/http"
)

// PlatformSettings is what the platform's owner chooses for all operators. Each value that
// is nil when it is sent stays as it is.
type PlatformSettings struct {
	Suppression *SuppressionSettings `json:"suppression,omitempty"`
	ReturnPath  *ReturnPathSettings  `json:"return_path,omitempty"`
}

// SuppressionSettings say for how many hours addresses are suppressed by what happened to
// mail for them.
type SuppressionSettings struct {
	Hard       *int `json:"hard_hours,omitempty"`
	HardMost   *int `json:"hard_most_hours,omitempty"` // twice as long each time, up to this
	Soft       *int `json:"soft_hours,omitempty"`
	SoftCount  *int `json:"soft_count,omitempty"`
	SoftWithin *int `json:"soft_within_hours,omitempty"`
	Complaint  *int `json:"complaint_hours,omitempty"`

	Unsubscribe *int `json:"unsubscribe_hours,omitempty"`
}

// ReturnPathSettings say what happens to mail that people write to addresses nobody reads.
type ReturnPathSettings struct {
	Courtesy *string `json:"courtesy,omitempty"` // what they are told, in ASCII; "" for a text of ours
	Forward  *bool   `json:"forward,omitempty"`
}

// PlatformSettings reads them; it takes a key of the platform.
func (c *Client) PlatformSettings(ctx context.Context) (PlatformSettings, error) {
	var out PlatformSettings
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/platform/settings", repeat: true}, &out)
	return out, err
}

// ChangePlatformSettings changes what s has, and returns all of them. It takes a key of the
// platform.
func (c *Client) ChangePlatformSettings(ctx context.Context, s PlatformSettings) (PlatformSettings, error) {
	var out PlatformSettings
	_, err := c.do(ctx, call{method: http.MethodPatch, path: "/v1/platform/settings", body: s, repeat: true}, &out)
	return out, err
}
