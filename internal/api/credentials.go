package api

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (s *server) registerCredentials() {
	register(s, operation{
		ID: "list-credentials", Method: http.MethodGet, Path: "/v1/operators/{id}/credentials", Tag: "Operators", Status: http.StatusOK,
		Summary: "List an operator's keys", Description: "Without the keys themselves, which nobody can read again; revoked ones too.",
	}, s.listCredentials)
	register(s, operation{
		ID: "create-credential", Method: http.MethodPost, Path: "/v1/operators/{id}/credentials", Tag: "Operators", Status: http.StatusCreated,
		Summary: "Create a key for an operator", Description: "The answer is the only place where the key can be read.",
	}, s.createCredential)
	register(s, operation{
		ID: "revoke-credential", Method: http.MethodDelete, Path: "/v1/operators/{id}/credentials/{credential_id}", Tag: "Operators", Status: http.StatusNoContent,
		Summary: "Revoke a key", Description: "It is refused within a second, by every process.",
	}, s.revokeCredential)
}

// Credential is an API key as shown.
type Credential struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Hint        string             `json:"hint" doc:"How the key begins."`
	Networks    []string           `json:"networks" nullable:"false" doc:"Clients there submit over SMTP without a login."`
	Scopes      []waypost.Scope    `json:"scopes" nullable:"false"`
	Test        bool               `json:"test" doc:"Its mail always goes to the sandbox."`
	DefaultKind waypost.Kind       `json:"default_kind"`
	FromPolicy  waypost.FromPolicy `json:"from_policy" doc:"What happens to a From that is not a sender of the operator."`
	CreatedAt   string             `json:"created_at" format:"date-time"`
	LastUsedAt  string             `json:"last_used_at,omitempty" format:"date-time" doc:"To a minute or so; left out if it never was."`
	RevokedAt   string             `json:"revoked_at,omitempty" format:"date-time"`
}

func showCredential(c store.Credential) Credential {
	out := Credential{
		ID: c.ID, Name: c.Name, Hint: c.Hint, Networks: []string{}, Scopes: c.Scopes, Test: c.Test, DefaultKind: c.DefaultKind,
		FromPolicy: c.FromPolicy, CreatedAt: stamp(c.Created), LastUsedAt: stamp(c.Used), RevokedAt: stamp(c.Revoked),
	}
	for _, n := range c.Networks {
		out.Networks = append(out.Networks, n.String())
	}
	if out.Scopes == nil {
		out.Scopes = []waypost.Scope{}
	}
	return out
}

func (s *server) listCredentials(ctx context.Context, _ *caller, in *ByID) (*answer[Page[Credential]], error) {
	if _, err := s.Store.Operator(ctx, in.ID); err != nil {
		return nil, err
	}
	found, err := s.Store.Credentials(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[Page[Credential]]{Page[Credential]{Items: items(found, showCredential)}}, nil
}

// newCredential is a key to create.
type newCredential struct {
	Name        string             `json:"name,omitempty" maxLength:"200" doc:"To recognize it."`
	Networks    []string           `json:"networks,omitempty" maxItems:"100" example:"192.0.2.0/24"`
	Scopes      []waypost.Scope    `json:"scopes,omitempty" maxItems:"20" enum:"send,send:security,send:alarm,read,read:content,control,settings" doc:"Left out: all but send:security and send:alarm."`
	Test        bool               `json:"test,omitempty"`
	DefaultKind waypost.Kind       `json:"default_kind,omitempty" enum:"event,report,balance,security,other"`
	FromPolicy  waypost.FromPolicy `json:"from_policy,omitempty" enum:"replace,refuse"`
}

type createCredentialInput struct {
	ByID
	Body newCredential
}

// createdCredential is a credential with its key.
type createdCredential struct {
	Credential
	Key string `json:"key" doc:"The key. It cannot be read again."`
}

func (s *server) createCredential(ctx context.Context, c *caller, in *createCredentialInput) (*answer[createdCredential], error) {
	n := in.Body
	r := auth.CreateRequest{
		OperatorID: in.ID, Name: n.Name, Scopes: n.Scopes, Test: n.Test, DefaultKind: n.DefaultKind, FromPolicy: n.FromPolicy,
	}
	for i, text := range n.Networks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, waypost.FieldError("networks["+strconv.Itoa(i)+"]", "not a network: write 192.0.2.0/24 or 2001:db8::/64")
		}
		r.Networks = append(r.Networks, network)
	}
	key, created, err := s.Auth.Create(ctx, c.actor(), r)
	if err != nil {
		return nil, err
	}
	return &answer[createdCredential]{createdCredential{Credential: showCredential(created), Key: key}}, nil
}

type revokeCredentialInput struct {
	ByID
	CredentialID string `path:"credential_id" maxLength:"100"`
}

func (s *server) revokeCredential(ctx context.Context, c *caller, in *revokeCredentialInput) (*struct{}, error) {
	return nil, s.Auth.Revoke(ctx, c.actor(), in.ID, in.CredentialID)
}
