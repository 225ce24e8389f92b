package api

import (
	"context"
	"net/http"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/waypost"
)

func (s *server) registerOperators() {
	register(s, operation{
		ID: "list-operators", Method: http.MethodGet, Path: "/v1/operators", Tag: "Operators", Status: http.StatusOK,
		Summary: "List operators", Description: "In the order in which they were created.",
	}, s.listOperators)
	register(s, operation{
		ID: "create-operator", Method: http.MethodPost, Path: "/v1/operators", Tag: "Operators", Status: http.StatusCreated,
		Summary: "Create an operator", Description: "It starts with the gateway that its product starts with, if any.",
	}, s.createOperator)
	register(s, operation{
		ID: "get-operator", Method: http.MethodGet, Path: "/v1/operators/{id}", Tag: "Operators", Status: http.StatusOK,
		Summary: "Show an operator", Description: "Its e-mail settings are at /v1/settings/email.",
	}, s.getOperator)
	register(s, operation{
		ID: "change-operator", Method: http.MethodPatch, Path: "/v1/operators/{id}", Tag: "Operators", Status: http.StatusOK,
		Summary: "Change an operator", Description: "What is left out stays. Mail of a suspended operator is refused, and what is queued waits; mail of kind security still goes.",
	}, s.changeOperator)
	register(s, operation{
		ID: "delete-operator", Method: http.MethodDelete, Path: "/v1/operators/{id}", Tag: "Operators", Status: http.StatusNoContent,
		Summary: "Delete an operator", Description: "From now on nobody sends or signs in as it. What it had queued is cancelled, and everything it had is erased soon but counters and the audit log. It cannot be undone.",
	}, s.deleteOperator)
}

// operator is a tenant.
type operator struct {
	ID        string                  `json:"id"`
	ParentID  string                  `json:"parent_id,omitempty"`
	Name      string                  `json:"name"`
	Product   waypost.Product         `json:"product"`
	Contact   string                  `json:"contact" doc:"Where notices go; empty for nowhere."`
	Suspended bool                    `json:"suspended"`
	Gateway   waypost.GatewayType     `json:"gateway" doc:"The gateway in use; empty if none is bound."`
	Uncertain waypost.UncertainPolicy `json:"uncertain_policy"`
	PerMinute int                     `json:"per_minute" doc:"Mails that each node accepts of it a minute; 0 for no limit."`
	PerDay    int                     `json:"per_day" doc:"Recipients that it may have in 24 hours by the built-in gateway; 0 for as many as its age and record allow."`
	Trusted   bool                    `json:"trusted" doc:"No such limit, and nothing worse than a warning by the guard of the built-in gateway."`
	CreatedAt string                  `json:"created_at" format:"date-time"`
}

func showOperator(o waypost.Operator) operator {
	return operator{
		ID: o.ID, ParentID: o.ParentID, Name: o.Name, Product: o.Product, Contact: o.Contact, Suspended: o.Suspended,
		Gateway: o.Gateway, Uncertain: o.Uncertain, PerMinute: o.PerMinute, PerDay: o.PerDay, Trusted: o.Trusted, CreatedAt: stamp(o.Created),
	}
}

func (s *server) listOperators(ctx context.Context, _ *caller, in *struct{ Paging }) (*answer[Page[operator]], error) {
	found, err := s.Accounts.Operators(ctx, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	next := ""
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next = found[in.Limit-1].ID
	}
	return &answer[Page[operator]]{Page[operator]{Items: items(found, showOperator), Next: next}}, nil
}

// newOperator is an operator to create.
type newOperator struct {
	Name     string          `json:"name" maxLength:"200"`
	Product  waypost.Product `json:"product" enum:"servermate,cloud,on_premise"`
	Contact  string          `json:"contact,omitempty" maxLength:"254"`
	ParentID string          `json:"parent_id,omitempty" maxLength:"100" doc:"The operator that it belongs to, if any."`

	Uncertain waypost.UncertainPolicy `json:"uncertain_policy,omitempty" enum:"retry,hold,assume_delivered" doc:"Left out: retry."`
	PerMinute int                     `json:"per_minute,omitempty" doc:"Mails that each node accepts of it a minute; 0 for no limit."`
	PerDay    int                     `json:"per_day,omitempty" doc:"Recipients in 24 hours by the built-in gateway; 0 for as many as its age and record allow."`
	Trusted   bool                    `json:"trusted,omitempty" doc:"No such limit, and nothing worse than a warning."`
}

func (s *server) createOperator(ctx context.Context, c *caller, in *answer[newOperator]) (*answer[operator], error) {
	n := in.Body
	if !storable(n.ParentID) {
		return nil, waypost.FieldError("parent_id", "not an operator")
	}
	created, err := s.Accounts.CreateOperator(ctx, c.actor(), account.NewOperator{
		Name: n.Name, Product: n.Product, Contact: n.Contact, ParentID: n.ParentID, Uncertain: n.Uncertain, PerMinute: n.PerMinute,
		PerDay: n.PerDay, Trusted: n.Trusted,
	})
	if err != nil {
		return nil, err
	}
	return &answer[operator]{showOperator(created)}, nil
}

func (s *server) getOperator(ctx context.Context, _ *caller, in *ByID) (*answer[operator], error) {
	found, err := s.Store.Operator(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[operator]{showOperator(found)}, nil
}

// operatorChange changes an operator.
type operatorChange struct {
	Name      *string                  `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Product   *waypost.Product         `json:"product,omitempty" enum:"servermate,cloud,on_premise" doc:"Mail waits if it does not include the gateway in use."`
	Contact   *string                  `json:"contact,omitempty" maxLength:"254" doc:"Empty for none."`
	ParentID  *string                  `json:"parent_id,omitempty" maxLength:"100" doc:"The operator that it belongs to; empty for none."`
	PerMinute *int                     `json:"per_minute,omitempty" doc:"0 for no limit."`
	PerDay    *int                     `json:"per_day,omitempty" doc:"Recipients in 24 hours by the built-in gateway; 0 for as many as its age and record allow."`
	Trusted   *bool                    `json:"trusted,omitempty" doc:"No such limit, and nothing worse than a warning."`
	Suspended *bool                    `json:"suspended,omitempty"`
	Uncertain *waypost.UncertainPolicy `json:"uncertain_policy,omitempty" enum:"retry,hold,assume_delivered" doc:"What to do if a server took a mail and then did not say so: try again, wait for a person, or believe it."`
}

type changeOperatorInput struct {
	ByID
	Body operatorChange
}

func (s *server) changeOperator(ctx context.Context, c *caller, in *changeOperatorInput) (*answer[operator], error) {
	n := in.Body
	if n.ParentID != nil && !storable(*n.ParentID) {
		return nil, waypost.FieldError("parent_id", "not an operator")
	}
	change := account.OperatorChange{
		ParentID: n.ParentID, Name: n.Name, Product: n.Product, Contact: n.Contact, Uncertain: n.Uncertain, PerMinute: n.PerMinute,
		PerDay: n.PerDay, Trusted: n.Trusted,
	}
	if change != (account.OperatorChange{}) {
		if err := s.Accounts.ChangeOperator(ctx, c.actor(), in.ID, change); err != nil {
			return nil, err
		}
	}
	if in.Body.Suspended != nil {
		set := s.Accounts.Resume
		if *in.Body.Suspended {
			set = s.Accounts.Suspend
		}
		if _, err := set(ctx, c.actor(), in.ID); err != nil {
			return nil, err
		}
	}
	return s.getOperator(ctx, nil, &in.ByID)
}

func (s *server) deleteOperator(ctx context.Context, c *caller, in *ByID) (*struct{}, error) {
	return nil, s.Accounts.RemoveOperator(ctx, c.actor(), in.ID)
}
