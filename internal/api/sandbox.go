package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (s *server) registerSandbox() {
	register(s, operation{
		ID: "list-sandbox", Method: http.MethodGet, Path: "/v1/sandbox/messages", Tag: "Sandbox", Status: http.StatusOK,
		Summary:     "List the sandbox",
		Description: "Newest first. Mail of kind security is shown to keys of the platform only; that of the platform itself without its subject.",
	}, s.listSandbox)
	register(s, operation{
		ID: "empty-sandbox", Method: http.MethodDelete, Path: "/v1/sandbox/messages", Tag: "Sandbox", Status: http.StatusOK,
		Summary:     "Empty the sandbox",
		Description: "Mail of kind security stays until its time is over. What is known of the messages stays too.",
	}, s.emptySandbox)
	register(s, operation{
		ID: "get-sandbox", Method: http.MethodGet, Path: "/v1/sandbox/messages/{id}", Tag: "Sandbox", Status: http.StatusOK,
		Summary: "Show a mail in the sandbox", Description: "Without its content.",
	}, s.getSandbox)
	register(s, operation{
		ID: "get-sandbox-raw", Method: http.MethodGet, Path: "/v1/sandbox/messages/{id}/raw", Tag: "Sandbox", Status: http.StatusOK, Produces: mediaMail,
		Summary:     "Download a mail from the sandbox",
		Description: "As its recipient would have received it. Mail of kind security of the platform itself is never shown: it lets in who manages everything.",
	}, s.getSandboxRaw)
}

// sandboxMail is a mail in the sandbox.
type sandboxMail struct {
	ID         string       `json:"id"`
	MessageID  string       `json:"message_id"`
	DeliveryID string       `json:"delivery_id"`
	Kind       waypost.Kind `json:"kind"`
	MailFrom   string       `json:"mail_from" doc:"The envelope sender."`
	To         string       `json:"to" doc:"The envelope recipient."`
	Subject    string       `json:"subject"`
	Size       int64        `json:"size" doc:"Bytes."`
	CreatedAt  string       `json:"created_at" format:"date-time"`
}

func showSandbox(m store.SandboxMail) sandboxMail {
	out := sandboxMail{
		ID: m.ID, MessageID: m.MessageID, DeliveryID: m.DeliveryID, Kind: m.Kind, MailFrom: m.MailFrom, To: m.Recipient,
		Subject: m.Subject, Size: m.Size, CreatedAt: stamp(m.Created),
	}
	if hiddenFromKeys(&m) {
		out.Subject = ""
	}
	return out
}

// hiddenFromKeys reports whether the content of a mail is for no program: invitations and
// password resets of people come from the platform, and who reads one becomes that person,
// the owner perhaps. The panel opens them to the owner alone.
func hiddenFromKeys(m *store.SandboxMail) bool {
	return m.Kind == waypost.KindSecurity && m.OperatorID == waypost.PlatformOperatorID
}

func (s *server) listSandbox(ctx context.Context, c *caller, in *struct{ Paging }) (*answer[Page[sandboxMail]], error) {
	list := s.Store.SandboxList
	if c.principal.Platform {
		list = s.Sandbox.SandboxAll
	}
	found, next, err := list(ctx, c.operator(), in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	return &answer[Page[sandboxMail]]{Page[sandboxMail]{Items: items(found, showSandbox), Next: next}}, nil
}

// findSandbox reads a mail in the sandbox, without its content.
func (s *server) findSandbox(ctx context.Context, c *caller, id string) (store.SandboxMail, error) {
	if !c.principal.Platform {
		return s.Store.SandboxEntry(ctx, c.operator(), id)
	}
	m, err := s.Sandbox.SandboxAnyEntry(ctx, id)
	if err == nil && m.OperatorID != c.operator() {
		return store.SandboxMail{}, waypost.NewError(waypost.NotFound, "not_found", "there is no such mail in the sandbox")
	}
	return m, err
}

func (s *server) getSandbox(ctx context.Context, c *caller, in *ByID) (*answer[sandboxMail], error) {
	m, err := s.findSandbox(ctx, c, in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[sandboxMail]{showSandbox(m)}, nil
}

func (s *server) getSandboxRaw(ctx context.Context, c *caller, in *ByID) (*huma.StreamResponse, error) {
	m, err := s.findSandbox(ctx, c, in.ID)
	if err != nil {
		return nil, err
	}
	if hiddenFromKeys(&m) {
		return nil, waypost.NewError(waypost.Forbidden, "content_hidden", "the content of the platform's security mail is not shown")
	}
	if err := s.remember(ctx, c, m.Size); err != nil {
		return nil, err
	}
	if c.principal.Platform {
		m, err = s.Sandbox.SandboxAny(ctx, m.ID)
	} else {
		m, err = s.Store.SandboxMail(ctx, c.operator(), m.ID)
	}
	if err != nil {
		return nil, err
	}
	return download(c, m.ID, m.Data), nil
}

// removed tells how much was removed.
type removed struct {
	Removed int64 `json:"removed"`
}

func (s *server) emptySandbox(ctx context.Context, c *caller, _ *struct{}) (*answer[removed], error) {
	n, err := s.Store.SandboxEmpty(ctx, c.actor(), c.operator())
	return &answer[removed]{removed{n}}, err
}
