package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (s *server) registerSuppressions() {
	register(s, operation{
		ID: "list-suppressions", Method: http.MethodGet, Path: "/v1/suppressions", Tag: "Suppressions", Status: http.StatusOK,
		Summary: "List suppressions", Description: "By address.",
	}, s.listSuppressions)
	register(s, operation{
		ID: "add-suppression", Method: http.MethodPost, Path: "/v1/suppressions", Tag: "Suppressions", Status: http.StatusCreated,
		Summary: "Suppress an address", Description: "With reason manual, for mail of one kind or of every kind. An entry that is there is renewed.",
	}, s.addSuppression)
	register(s, operation{
		ID: "remove-suppression", Method: http.MethodDelete, Path: "/v1/suppressions", Tag: "Suppressions", Status: http.StatusNoContent,
		Summary: "Mail an address again", Description: "Removes the entries of an address: all, or those with a reason or of a kind.",
	}, s.removeSuppression)
	s.registerSuppressionFiles()
	register(s, operation{
		ID: "list-exempt", Method: http.MethodGet, Path: "/v1/suppressions/exempt", Tag: "Suppressions", Status: http.StatusOK,
		Summary: "List exempt addresses", Description: "Addresses that no bounce and no complaint suppresses, by address.",
	}, s.listExempt)
	register(s, operation{
		ID: "add-exempt", Method: http.MethodPost, Path: "/v1/suppressions/exempt", Tag: "Suppressions", Status: http.StatusNoContent,
		Summary: "Exempt an address", Description: "No bounce and no complaint suppresses it any more, and what suppresses it for those ends. Entries by hand and unsubscriptions stay.",
	}, s.addExempt)
	register(s, operation{
		ID: "remove-exempt", Method: http.MethodDelete, Path: "/v1/suppressions/exempt", Tag: "Suppressions", Status: http.StatusNoContent,
		Summary: "Exempt an address no longer", Description: "From now on it may be suppressed again.",
	}, s.removeExempt)
}

// suppression is an address that must not be mailed.
type suppression struct {
	Address   string                    `json:"address"`
	Reason    waypost.SuppressionReason `json:"reason"`
	Kind      waypost.Kind              `json:"kind,omitempty" doc:"The kind of mail; left out: every kind."`
	Detail    string                    `json:"detail"`
	CreatedAt string                    `json:"created_at" format:"date-time"`
	ExpiresAt string                    `json:"expires_at,omitempty" format:"date-time" doc:"Left out: never."`
	Hits      int                       `json:"hits" doc:"How often it was found: each time an address that does not exist is suppressed for twice as long."`
	MessageID string                    `json:"message_id,omitempty" doc:"The message that showed it last; left out if none did."`
	Via       waypost.SuppressionVia    `json:"via,omitempty" doc:"How it came about: mail, one_click, page, api, panel, import or command; one_click and page are the recipient's own word. Left out for older entries."`
}

func showSuppression(n waypost.Suppression) suppression {
	return suppression{
		Address: n.Address, Reason: n.Reason, Kind: n.Kind, Detail: n.Detail, CreatedAt: stamp(n.Created), ExpiresAt: stamp(n.Expires),
		Hits: n.Hits, MessageID: n.MessageID, Via: n.Via,
	}
}

// SuppressionQuery are the parameters that pick suppressions.
type SuppressionQuery struct {
	Address string                    `query:"address" maxLength:"254" doc:"An address; a beginning of one, with * at its end; or a domain, as @example.com."`
	Reason  waypost.SuppressionReason `query:"reason" enum:"manual,hard_bounce,soft_bounce,complaint,unsubscribe"`
	Kind    waypost.Kind              `query:"kind" enum:"all,event,report,balance,security,test,other" doc:"The kind of mail they are for; all: those for mail of every kind."`
}

func (f SuppressionQuery) filter() store.SuppressionFilter {
	return store.SuppressionFilter{Address: f.Address, Reason: f.Reason, Kind: f.Kind}
}

type listSuppressionsInput struct {
	SuppressionQuery
	Paging
}

func (s *server) listSuppressions(ctx context.Context, c *caller, in *listSuppressionsInput) (*answer[Page[suppression]], error) {
	found, next, err := s.Accounts.Suppressions(ctx, c.operator(), in.filter(), in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	return &answer[Page[suppression]]{Page[suppression]{Items: items(found, showSuppression), Next: next}}, nil
}

// newSuppression is a suppression to add.
type newSuppression struct {
	Address   string       `json:"address" maxLength:"254"`
	Kind      waypost.Kind `json:"kind,omitempty" enum:"event,report,balance,security,test,other" doc:"The kind of mail; left out: every kind."`
	Detail    string       `json:"detail,omitempty" maxLength:"200" doc:"Why, for people."`
	ExpiresAt *time.Time   `json:"expires_at,omitempty" doc:"Left out: never."`
}

func (s *server) addSuppression(ctx context.Context, c *caller, in *answer[newSuppression]) (*answer[suppression], error) {
	n := account.NewSuppression{Address: in.Body.Address, Kind: in.Body.Kind, Detail: in.Body.Detail}
	if in.Body.ExpiresAt != nil {
		n.Expires = in.Body.ExpiresAt.UTC()
	}
	added, err := s.Accounts.AddSuppression(ctx, c.actor(), c.operator(), n)
	if err != nil {
		return nil, renamed(err, "expires", "expires_at")
	}
	return &answer[suppression]{showSuppression(added)}, nil
}

type removeSuppressionInput struct {
	Address string                    `query:"address" required:"true" maxLength:"254"`
	Reason  waypost.SuppressionReason `query:"reason" enum:"manual,hard_bounce,soft_bounce,complaint,unsubscribe" doc:"Left out: any."`
	Kind    waypost.Kind              `query:"kind" enum:"all,event,report,balance,security,test,other" doc:"The kind of mail they are for; all: those for mail of every kind; left out: any."`
}

func (s *server) removeSuppression(ctx context.Context, c *caller, in *removeSuppressionInput) (*struct{}, error) {
	return nil, s.Accounts.RemoveSuppression(ctx, c.actor(), c.operator(), in.Address, in.Reason, in.Kind)
}

// renamed writes a field of an error as the request calls it.
func renamed(err error, from, to string) error {
	if list, ok := errors.AsType[account.Problems](err); ok {
		for _, e := range list {
			if e.Field == from {
				e.Field = to
			}
		}
	}
	return err
}

// exempt is an address that no bounce and no complaint suppresses.
type exempt struct {
	Address string `json:"address" maxLength:"254"`
}

func (s *server) listExempt(ctx context.Context, c *caller, in *struct{ Paging }) (*answer[Page[exempt]], error) {
	found, next, err := s.Accounts.Exempt(ctx, c.operator(), in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	return &answer[Page[exempt]]{Page[exempt]{Items: items(found, func(address string) exempt { return exempt{address} }), Next: next}}, nil
}

func (s *server) addExempt(ctx context.Context, c *caller, in *answer[exempt]) (*struct{}, error) {
	return nil, s.Accounts.AddExempt(ctx, c.actor(), c.operator(), in.Body.Address)
}

type removeExemptInput struct {
	Address string `query:"address" required:"true" maxLength:"254"`
}

func (s *server) removeExempt(ctx context.Context, c *caller, in *removeExemptInput) (*struct{}, error) {
	return nil, s.Accounts.RemoveExempt(ctx, c.actor(), c.operator(), in.Address)
}
