package api

import (
	"context"
	"net/http"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/waypost"
)

func (s *server) registerSenders() {
	register(s, operation{
		ID: "list-senders", Method: http.MethodGet, Path: "/v1/senders", Tag: "Domains and senders", Status: http.StatusOK,
		Summary: "List senders", Description: "The From addresses of the operator. Their state matters on the built-in gateway only.",
	}, s.listSenders)
	register(s, operation{
		ID: "add-sender", Method: http.MethodPost, Path: "/v1/senders", Tag: "Domains and senders", Status: http.StatusCreated,
		Summary: "Add a sender",
		Description: "An address, or *@example.com for any address at exactly that domain. It is assigned at once if its domain is authorized, " +
			"unless the platform's support decides about senders; then it is requested.",
	}, s.addSender)
	register(s, operation{
		ID: "change-sender", Method: http.MethodPatch, Path: "/v1/senders/{id}", Tag: "Domains and senders", Status: http.StatusOK,
		Summary: "Change a sender", Description: "Its display name, or make it the default one. What is left out stays.",
	}, s.changeSender)
	register(s, operation{
		ID: "remove-sender", Method: http.MethodDelete, Path: "/v1/senders/{id}", Tag: "Domains and senders", Status: http.StatusNoContent,
		Summary: "Remove a sender", Description: "Mail with this From then leaves with the default sender.",
	}, s.removeSender)
}

// sender is a From address.
type sender struct {
	ID        string              `json:"id"`
	Address   string              `json:"address" doc:"*@example.com stands for any address at that domain."`
	Name      string              `json:"name"`
	State     waypost.SenderState `json:"state" enum:"requested,assigned,rejected"`
	Reason    string              `json:"reason,omitempty" doc:"Why it was rejected."`
	Default   bool                `json:"default"`
	CreatedAt string              `json:"created_at" format:"date-time"`
	DecidedAt string              `json:"decided_at,omitempty" format:"date-time" doc:"When it was assigned or rejected."`
}

func showSender(s waypost.Sender) sender {
	return sender{
		ID: s.ID, Address: s.Address, Name: s.Name, State: s.State, Reason: s.Reason, Default: s.Default,
		CreatedAt: stamp(s.Created), DecidedAt: stamp(s.Decided),
	}
}

func (s *server) listSenders(ctx context.Context, c *caller, _ *struct{}) (*answer[Page[sender]], error) {
	found, err := s.Store.Senders(ctx, c.operator())
	if err != nil {
		return nil, err
	}
	return &answer[Page[sender]]{Page[sender]{Items: items(found, showSender)}}, nil
}

// newSender is a sender to add.
type newSender struct {
	Address string `json:"address" maxLength:"254"`
	Name    string `json:"name,omitempty" maxLength:"200" doc:"Display name."`
	Default bool   `json:"default,omitempty" doc:"Make it the default sender."`
}

func (s *server) addSender(ctx context.Context, c *caller, in *answer[newSender]) (*answer[sender], error) {
	added, err := s.Accounts.AddSender(ctx, c.actor(), c.operator(), account.NewSender{Address: in.Body.Address, Name: in.Body.Name, Default: in.Body.Default})
	return &answer[sender]{showSender(added)}, err
}

// senderChange changes a sender.
type senderChange struct {
	Name    *string `json:"name,omitempty" maxLength:"200"`
	Default bool    `json:"default,omitempty" doc:"true makes it the default sender; false changes nothing."`
}

type changeSenderInput struct {
	ByID
	Body senderChange
}

func (s *server) changeSender(ctx context.Context, c *caller, in *changeSenderInput) (*answer[sender], error) {
	changed, err := s.Accounts.ChangeSender(ctx, c.actor(), c.operator(), in.ID, in.Body.Name, in.Body.Default)
	return &answer[sender]{showSender(changed)}, err
}

func (s *server) removeSender(ctx context.Context, c *caller, in *ByID) (*struct{}, error) {
	return nil, s.Accounts.RemoveSender(ctx, c.actor(), c.operator(), in.ID)
}
