package system

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// queries are the generated ones, outside of transactions.
func (y *System) queries() *systemsql.Queries { return systemsql.New(y.engine.Reader()) }

// change is Write for what every process must notice.
func (y *System) change(ctx context.Context, call func(ctx context.Context, q *systemsql.Queries) error) error {
	return y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := store.BumpChange(ctx, tx); err != nil {
			return err
		}
		return call(ctx, systemsql.New(tx))
	})
}

// audited is change for what the audit log records.
func (y *System) audited(ctx context.Context, e waypost.AuditEntry, call func(ctx context.Context, q *systemsql.Queries) error) error {
	return y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		return []waypost.AuditEntry{e}, call(ctx, q)
	})
}

func notFound(what string) error {
	return waypost.NewError(waypost.NotFound, "not_found", "no such "+what)
}

// Operators lists operators by id, the platform's first, after a cursor: the id of
// the last one seen. At most 1,000; fewer than limit means that the end was reached.
func (y *System) Operators(ctx context.Context, cursor string, limit int) ([]waypost.Operator, error) {
	rows, err := y.queries().Operators(ctx, systemsql.OperatorsParams{After: cursor, Most: int64(pageSize(limit))})
	if err != nil {
		return nil, fmt.Errorf("list operators: %w", err)
	}
	operators := make([]waypost.Operator, len(rows))
	for i, row := range rows {
		operators[i] = store.OperatorOf(tenantsql.Operator(row))
	}
	return operators, nil
}

// pageSize keeps the length of a page within reason.
func pageSize(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, 1000)
}

// CreateOperator adds an operator and returns it as kept. Id and creation time are
// made if missing; without a gateway it gets the one its product starts with; without
// an uncertain policy it retries. The error is Invalid for an unknown product or
// parent, Forbidden for a gateway its product may not use, and Conflict for a used id.
func (y *System) CreateOperator(ctx context.Context, by waypost.Actor, o waypost.Operator) (waypost.Operator, error) {
	if _, ok := waypost.ParseProduct(string(o.Product)); !ok {
		return o, waypost.FieldError("product", "must be servermate, cloud or on_premise")
	}
	now := time.Now()
	if o.ID == "" {
		o.ID = waypost.NewIDAt(cmp.Or(o.Created, now)) // before the fraction is cut off: operators of one millisecond sort too
	}
	if o.Created.IsZero() {
		o.Created = waypost.FromMillis(waypost.Millis(now))
	}
	if o.Uncertain == "" {
		o.Uncertain = waypost.UncertainRetry
	}
	asked := o.Gateway
	entry := waypost.AuditEntry{OperatorID: o.ID, Actor: by, Action: "operator.create", Target: o.Name, Detail: waypost.Detail(o.Product)}
	err := y.audited(ctx, entry, func(ctx context.Context, q *systemsql.Queries) error {
		known, err := q.OperatorExists(ctx, o.ID)
		if err == nil && !known {
			known, err = q.OperatorRemoved(ctx, o.ID) // its counters are kept under the id
		}
		if err != nil {
			return err
		}
		if known {
			return waypost.NewError(waypost.Conflict, "id_used", "there is an operator with this id already")
		}
		if o.ParentID != "" {
			if known, err := q.OperatorExists(ctx, o.ParentID); err != nil {
				return err
			} else if !known {
				return waypost.FieldError("parent_id", "there is no such operator")
			}
		}
		rows, err := q.Entitlements(ctx, string(o.Product))
		if err != nil {
			return err
		}
		if o.Gateway, err = firstGateway(rows, asked); err != nil {
			return err
		}
		return insertOperator(ctx, q, o)
	})
	if err != nil {
		return o, fmt.Errorf("create operator: %w", err)
	}
	return o, nil
}

// maxDepth bounds how deep operators lie below each other.
const maxDepth = 100

// MoveOperator puts an operator below another one, or with "" directly below the platform.
// Errors are NotFound, and Invalid for a parent that does not exist or lies below the
// operator itself.
func (y *System) MoveOperator(ctx context.Context, by waypost.Actor, operatorID, parentID string) error {
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		was, err := q.OperatorParent(ctx, operatorID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, notFound("operator")
		}
		if err != nil || was.ParentID == parentID {
			return nil, err
		}
		if operatorID == waypost.PlatformOperatorID {
			return nil, waypost.FieldError("parent_id", "the platform is above all operators")
		}
		// Moves follow each other, each bumps the change number first: no two make a ring.
		for above, depth := parentID, 0; above != ""; depth++ {
			if above == operatorID || depth == maxDepth {
				return nil, waypost.FieldError("parent_id", "lies below the operator itself")
			}
			next, err := q.OperatorParent(ctx, above)
			if errors.Is(err, sql.ErrNoRows) {
				return nil, waypost.FieldError("parent_id", "there is no such operator")
			}
			if err != nil {
				return nil, err
			}
			above = next.ParentID
		}
		return []waypost.AuditEntry{{
			OperatorID: operatorID, Actor: by, Action: "operator.change", Target: was.Name, Detail: waypost.ChangeDetail("parent", was.ParentID, parentID),
		}}, q.SetOperatorParent(ctx, systemsql.SetOperatorParentParams{ID: operatorID, ParentID: parentID})
	})
	if err != nil {
		return fmt.Errorf("move operator: %w", err)
	}
	return nil
}

// firstGateway is the gateway a new operator is bound to.
func firstGateway(rows []systemsql.EntitlementsRow, asked waypost.GatewayType) (waypost.GatewayType, error) {
	for _, row := range rows {
		switch {
		case asked == "" && row.Allowed && row.Initial:
			return waypost.GatewayType(row.Gateway), nil
		case asked != "" && row.Allowed && row.Gateway == string(asked):
			return asked, nil
		}
	}
	if asked != "" {
		return "", waypost.NewError(waypost.Forbidden, "gateway_not_allowed", "the product does not allow this gateway")
	}
	return "", nil
}

func insertOperator(ctx context.Context, q *systemsql.Queries, o waypost.Operator) error {
	return q.InsertOperator(ctx, systemsql.InsertOperatorParams{
		ID: o.ID, ParentID: o.ParentID, Name: o.Name, Product: string(o.Product), Contact: o.Contact, Suspended: o.Suspended,
		Gateway: string(o.Gateway), UncertainPolicy: string(o.Uncertain), ReplyTo: o.ReplyTo,
		SignatureText: o.Signature.Text, SignatureHtml: o.Signature.HTML, PerMinute: int64(o.PerMinute),
		PerDay: int64(o.PerDay), Trusted: o.Trusted, Created: waypost.Millis(o.Created),
	})
}

// EnsurePlatform makes the operator that the platform itself sends as, unless there
// is one.
func (y *System) EnsurePlatform(ctx context.Context, name string) error {
	known, err := y.queries().OperatorExists(ctx, waypost.PlatformOperatorID)
	if err == nil && !known {
		err = y.change(ctx, func(ctx context.Context, q *systemsql.Queries) error {
			return insertOperator(ctx, q, waypost.Operator{
				ID: waypost.PlatformOperatorID, Name: name, Product: waypost.ProductServermate, Gateway: waypost.GatewayBuiltin,
				Uncertain: waypost.UncertainRetry, Created: time.Now(),
			})
		})
	}
	if err != nil {
		return fmt.Errorf("make platform operator: %w", err)
	}
	return nil
}

// SetRelayHealth records what is known about an operator's relay. The error is
// NotFound if it has none.
func (y *System) SetRelayHealth(ctx context.Context, h waypost.RelayHealth) error {
	return y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := store.BumpChange(ctx, tx); err != nil {
			return err
		}
		was, err := tenantsql.New(tx).Relay(ctx, h.OperatorID)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("relay")
		}
		if err != nil {
			return err
		}
		if _, err := systemsql.New(tx).SetRelayHealth(ctx, systemsql.SetRelayHealthParams{
			OperatorID: h.OperatorID, FailingSince: waypost.Millis(h.FailingSince), FailingWhy: h.Reason,
			NextProbe: waypost.Millis(h.NextProbe), Probes: int64(h.Probes), NoticeSent: waypost.Millis(h.NoticeSent),
		}); err != nil {
			return err
		}
		switch since := waypost.FromMillis(was.FailingSince); {
		case h.Failing() && since.IsZero():
			return store.WriteRelayFact(ctx, tx, waypost.WebhookRelayDown, h.OperatorID, was.Host, h.FailingSince, h.Reason, time.Now())
		case !h.Failing() && !since.IsZero():
			return store.WriteRelayFact(ctx, tx, waypost.WebhookRelayUp, h.OperatorID, was.Host, since, "", time.Now())
		}
		return nil
	})
}

// RelaysFailing counts the relays whose mail waits.
func (y *System) RelaysFailing(ctx context.Context) (int64, error) {
	n, err := y.queries().RelaysFailing(ctx)
	if err != nil {
		return 0, fmt.Errorf("count failing relays: %w", err)
	}
	return n, nil
}
