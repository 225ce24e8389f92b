package api

import (
	"context"
	"net/http"

	"github.com/waypost/waypost/internal/account"
)

func (s *server) registerSettings() {
	register(s, operation{
		ID: "get-email-settings", Method: http.MethodGet, Path: "/v1/settings/email", Tag: "Settings", Status: http.StatusOK,
		Summary: "Show the e-mail settings", Description: "Passwords are never shown.",
	}, s.getSettings)
	register(s, operation{
		ID: "save-email-settings", Method: http.MethodPut, Path: "/v1/settings/email", Tag: "Settings", Status: http.StatusOK,
		Summary: "Save the e-mail settings",
		Description: "Gateway, sender and signature, all or nothing. What GET answered can be changed and sent back. The own SMTP server is kept " +
			"while another gateway is in use; {\"type\":\"smtp\"} alone goes back to it.",
	}, s.saveSettings)
	register(s, operation{
		ID: "test-email-settings", Method: http.MethodPost, Path: "/v1/settings/email/test", Tag: "Settings", Status: http.StatusOK,
		Summary: "Send a test mail",
		Description: "Over exactly these settings, or the saved ones, and only once. The answer comes when it is done, after at most a minute; " +
			"until then and later GET /v1/settings/email/test/{id} has what happened so far. Ten a minute per operator.",
	}, s.testSettings)
	register(s, operation{
		ID: "get-email-test", Method: http.MethodGet, Path: "/v1/settings/email/test/{id}", Tag: "Settings", Status: http.StatusOK,
		Summary: "Follow a test mail", Description: "Step by step for ten minutes; later only its end is known.",
	}, s.getTest)
}

func (s *server) getSettings(ctx context.Context, c *caller, _ *struct{}) (*answer[account.Settings], error) {
	found, err := s.Accounts.EmailSettings(ctx, c.operator())
	return &answer[account.Settings]{found}, err
}

func (s *server) saveSettings(ctx context.Context, c *caller, in *answer[account.Update]) (*answer[account.Settings], error) {
	saved, err := s.Accounts.SaveEmail(ctx, c.actor(), c.operator(), in.Body)
	return &answer[account.Settings]{saved}, err
}
