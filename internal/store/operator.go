package store

import (
	"context"
	"fmt"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// Operator reads an operator. The error is NotFound if there is none.
func (s *Store) Operator(ctx context.Context, operatorID string) (waypost.Operator, error) {
	row, err := s.queries().Operator(ctx, operatorID)
	return OperatorOf(row), one(err, "operator")
}

// SaveOperator reads an operator, lets edit change it, and writes it, in one
// transaction. edit may run twice and must only look at what it is given; its error
// is returned as it is and nothing is written. Id, parent and creation time stay.
func (s *Store) SaveOperator(ctx context.Context, by waypost.Actor, operatorID string, edit func(*waypost.Operator) error) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		row, err := q.Operator(ctx, operatorID)
		if err != nil {
			return one(err, "operator")
		}
		o := OperatorOf(row)
		if err := edit(&o); err != nil {
			return err
		}
		if o == OperatorOf(row) {
			return nil
		}
		action, detail := operatorChange(OperatorOf(row), o)
		if err := audit(ctx, tx, by, operatorID, action, o.Name, detail); err != nil {
			return err
		}
		return updateOperator(ctx, q, operatorID, o)
	})
}

// operatorChange names the change from one state of an operator to another.
func operatorChange(was, is waypost.Operator) (action string, detail waypost.Detail) {
	switch {
	case is.Suspended && !was.Suspended:
		return "operator.suspend", ""
	case was.Suspended && !is.Suspended:
		return "operator.resume", ""
	}
	return "operator.change", waypost.Details(
		waypost.ChangeDetail("name", was.Name, is.Name),
		waypost.ChangeDetail("product", was.Product, is.Product),
		waypost.ChangeDetail("contact", was.Contact, is.Contact),
		waypost.ChangeDetail("uncertain", was.Uncertain, is.Uncertain),
		waypost.ChangeDetail("gateway", was.Gateway, is.Gateway),
		waypost.ChangeDetail("per_minute", was.PerMinute, is.PerMinute),
		waypost.ChangeDetail("per_day", was.PerDay, is.PerDay),
		trustDetail(was.Trusted, is.Trusted),
	)
}

func updateOperator(ctx context.Context, q *tenantsql.Queries, operatorID string, o waypost.Operator) error {
	return q.UpdateOperator(ctx, tenantsql.UpdateOperatorParams{
		ID: operatorID, Name: o.Name, Product: string(o.Product), Contact: o.Contact, Suspended: o.Suspended,
		Gateway: string(o.Gateway), UncertainPolicy: string(o.Uncertain), ReplyTo: o.ReplyTo,
		SignatureText: o.Signature.Text, SignatureHtml: o.Signature.HTML, PerMinute: int64(o.PerMinute),
		PerDay: int64(o.PerDay), Trusted: o.Trusted,
	})
}

func trustDetail(was, is bool) waypost.Detail {
	switch {
	case is && !was:
		return waypost.NewDetail(waypost.DetailTrusted)
	case was && !is:
		return waypost.NewDetail(waypost.DetailNotTrusted)
	}
	return ""
}

// OperatorOf is an operator as its row has it; store/system reads the same rows.
func OperatorOf(row tenantsql.Operator) waypost.Operator {
	return waypost.Operator{
		ID: row.ID, ParentID: row.ParentID, Name: row.Name, Product: waypost.Product(row.Product), Contact: row.Contact,
		Suspended: row.Suspended, Gateway: waypost.GatewayType(row.Gateway), Uncertain: waypost.UncertainPolicy(row.UncertainPolicy),
		ReplyTo: row.ReplyTo, Signature: waypost.Signature{Text: row.SignatureText, HTML: row.SignatureHtml},
		PerMinute: int(row.PerMinute), PerDay: int(row.PerDay), Trusted: row.Trusted, Created: waypost.FromMillis(row.Created),
	}
}

// Allowed tells which gateways a product may use. Gateways that are not in it are
// not allowed.
func (s *Store) Allowed(ctx context.Context, product waypost.Product) (map[waypost.GatewayType]bool, error) {
	rows, err := s.queries().Entitlements(ctx, string(product))
	if err != nil {
		return nil, fmt.Errorf("read entitlement: %w", err)
	}
	allowed := make(map[waypost.GatewayType]bool, len(rows))
	for _, row := range rows {
		allowed[waypost.GatewayType(row.Gateway)] = row.Allowed
	}
	return allowed, nil
}
