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
	Reputation  *ReputationSettings  `json:"reputation,omitempty"`
}

// ReputationSettings are what the guard of the built-in gateway goes by; rates in percent,
// 0 for never.
type ReputationSettings struct {
	On             *bool    `json:"on,omitempty"`
	BounceWarn     *float64 `json:"bounce_warn,omitempty"`
	BounceSlow     *float64 `json:"bounce_slow,omitempty"`
	BouncePause    *float64 `json:"bounce_pause,omitempty"`
	ComplaintWarn  *float64 `json:"complaint_warn,omitempty"`
	ComplaintSlow  *float64 `json:"complaint_slow,omitempty"`
	ComplaintPause *float64 `json:"complaint_pause,omitempty"`
	Least          *int     `json:"least_recipients,omitempty"` // that are judged at all
	LeastSpam      *int     `json:"least_complaints,omitempty"`
	PerMinute      *int     `json:"slow_per_minute,omitempty"`
	Ramp           *string  `json:"ramp,omitempty"` // lines of days and recipients: "7: 10000"
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
