package api

import (
	"context"
	"net/http"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/waypost"
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
	register(s, operation{
		ID: "list-senders", Method: http.MethodGet, Path: "/v1/senders", Tag: "Settings", Status: http.StatusOK,
		Summary: "List senders", Description: "The From addresses of the operator. Their state matters on the built-in gateway only.",
	}, s.listSenders)
}

func (s *server) getSettings(ctx context.Context, c *caller, _ *struct{}) (*answer[account.Settings], error) {
	found, err := s.Accounts.EmailSettings(ctx, c.operator())
	return &answer[account.Settings]{found}, err
}

func (s *server) saveSettings(ctx context.Context, c *caller, in *answer[account.Update]) (*answer[account.Settings], error) {
	saved, err := s.Accounts.SaveEmail(ctx, c.operator(), in.Body)
	return &answer[account.Settings]{saved}, err
}

// sender is a From address.
type sender struct {
	ID        string              `json:"id"`
	Address   string              `json:"address" doc:"*@example.com stands for any address at that domain."`
	Name      string              `json:"name"`
	State     waypost.SenderState `json:"state" enum:"requested,assigned,rejected"`
	Default   bool                `json:"default"`
	CreatedAt string              `json:"created_at" format:"date-time"`
}

func showSender(s waypost.Sender) sender {
	return sender{ID: s.ID, Address: s.Address, Name: s.Name, State: s.State, Default: s.Default, CreatedAt: stamp(s.Created)}
}

func (s *server) listSenders(ctx context.Context, c *caller, _ *struct{}) (*answer[Page[sender]], error) {
	found, err := s.Store.Senders(ctx, c.operator())
	if err != nil {
		return nil, err
	}
	return &answer[Page[sender]]{Page[sender]{Items: items(found, showSender)}}, nil
}
