package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// SuppressionFilter picks suppressions; its zero value picks all of an operator.
type SuppressionFilter struct {
	Address string // exact, "prefix*", or "@domain"
	Reason  waypost.SuppressionReason
}

// Suppressions lists suppressions by address, without those that have expired. next continues the listing, "" at its end; limit 0 means 50.
func (s *Store) Suppressions(ctx context.Context, operatorID string, f SuppressionFilter, cursor string, limit int) (
	list []waypost.Suppression, next string, err error,
) {
	limit = pageSize(limit)
	w := where{text: "operator_id = $1", args: []any{operatorID}}
	w.and("(expires = 0 OR expires > ?)", waypost.Millis(time.Now()))
	if f.Reason != "" {
		w.and("reason = ?", string(f.Reason))
	}
	address := NormalizeAddress(strings.TrimSpace(f.Address))
	switch {
	case address == "":
	case strings.HasPrefix(address, "@"):
		// Addresses are few enough per operator to look at the end of each.
		w.suffix("address", address)
	case strings.HasSuffix(address, "*"):
		w.prefix("address", strings.TrimSuffix(address, "*"))
	default:
		w.and("address = ?", address)
	}
	if reason, after, ok := strings.Cut(cursor, ":"); ok {
		w.and("(address, reason) > (?, ?)", after, reason)
	}
	rows, err := s.engine.Reader().QueryContext(ctx, `SELECT operator_id, address, reason, detail, created, expires, hits, message_id FROM suppression
WHERE `+w.text+` ORDER BY address, reason LIMIT `+w.arg(limit+1), w.args...)
	if err != nil {
		return nil, "", fmt.Errorf("list suppressions: %w", err)
	}
	if list, err = scanSuppressions(rows); err != nil {
		return nil, "", fmt.Errorf("list suppressions: %w", err)
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		next = string(last.Reason) + ":" + last.Address
	}
	return list, next, nil
}

// SuppressionsFor returns the suppressions in force for some recipients, by
// normalized address.
func (s *Store) SuppressionsFor(ctx context.Context, operatorID string, addrs []string) (map[string][]waypost.Suppression, error) {
	found := map[string][]waypost.Suppression{}
	now := waypost.Millis(time.Now())
	for len(addrs) > 0 {
		w := where{text: "operator_id = $1", args: []any{operatorID}}
		w.and("(expires = 0 OR expires > ?)", now)
		n := min(len(addrs), 200)
		list := make([]any, n)
		for i, addr := range addrs[:n] {
			list[i] = NormalizeAddress(addr)
		}
		w.in("address", list)
		addrs = addrs[n:]
		rows, err := s.engine.Reader().QueryContext(ctx,
			"SELECT operator_id, address, reason, detail, created, expires, hits, message_id FROM suppression WHERE "+w.text, w.args...)
		if err != nil {
			return nil, fmt.Errorf("look up suppressions: %w", err)
		}
		hits, err := scanSuppressions(rows)
		if err != nil {
			return nil, fmt.Errorf("look up suppressions: %w", err)
		}
		for _, hit := range hits {
			found[hit.Address] = append(found[hit.Address], hit)
		}
	}
	return found, nil
}

// HasSuppressions reports whether an operator has any.
func (s *Store) HasSuppressions(ctx context.Context, operatorID string) (bool, error) {
	has, err := s.queries().HasSuppressions(ctx, operatorID)
	if err != nil {
		return false, fmt.Errorf("read suppressions: %w", err)
	}
	return has, nil
}

// AddSuppression adds a suppression, or renews detail and expiry of the one with the
// same address and reason. Only the first of an operator raises the change number:
// whether there is any at all is what processes keep in memory.
func (s *Store) AddSuppression(ctx context.Context, by waypost.Actor, operatorID string, n waypost.Suppression) error {
	created := n.Created
	if created.IsZero() {
		created = time.Now()
	}
	n.OperatorID, n.Address, n.Created, n.Hits = operatorID, NormalizeAddress(n.Address), created, 1
	err := s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := audit(ctx, tx, by, operatorID, "suppression.add", n.Address, waypost.Detail(n.Reason)); err != nil {
			return err
		}
		return putSuppression(ctx, tx, n)
	})
	if err != nil {
		return fmt.Errorf("add suppression: %w", err)
	}
	return nil
}

// RemoveSuppression removes one. The error is NotFound if there is none.
func (s *Store) RemoveSuppression(ctx context.Context, by waypost.Actor, operatorID, addr string, reason waypost.SuppressionReason) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		n, err := q.DeleteSuppression(ctx, tenantsql.DeleteSuppressionParams{
			OperatorID: operatorID, Address: NormalizeAddress(addr), Reason: string(reason),
		})
		if err == nil && n == 0 {
			return notFound("suppression")
		}
		if err != nil {
			return err
		}
		if err := unsuppressed(ctx, tx, operatorID, NormalizeAddress(addr), reason, time.Now()); err != nil {
			return err
		}
		return audit(ctx, tx, by, operatorID, "suppression.remove", NormalizeAddress(addr), waypost.Detail(reason))
	})
}

// suppressed and unsuppressed tell webhooks what was done.
func suppressed(ctx context.Context, tx *engine.Tx, n waypost.Suppression) error {
	return WriteFacts(ctx, tx, waypost.WebhookFact{
		OperatorID: n.OperatorID, Type: waypost.WebhookSuppress, Chain: "suppression/" + n.Address, At: n.Created,
		Data: waypost.WebhookSuppressionData{
			OperatorID: n.OperatorID, Address: n.Address, Reason: n.Reason, Detail: n.Detail,
			ExpiresAt: waypost.WebhookTime(n.Expires), MessageID: n.MessageID,
		},
	})
}

func unsuppressed(ctx context.Context, tx *engine.Tx, operatorID, addr string, reason waypost.SuppressionReason, now time.Time) error {
	return WriteFacts(ctx, tx, waypost.WebhookFact{
		OperatorID: operatorID, Type: waypost.WebhookUnsuppress, Chain: "suppression/" + addr, At: now,
		Data: waypost.WebhookSuppressionData{OperatorID: operatorID, Address: addr, Reason: reason},
	})
}

func scanSuppressions(rows *sql.Rows) ([]waypost.Suppression, error) {
	var list []waypost.Suppression
	err := engine.Each(rows, func(rows *sql.Rows) error {
		var n waypost.Suppression
		var created, expires int64
		err := rows.Scan(&n.OperatorID, &n.Address, &n.Reason, &n.Detail, &created, &expires, &n.Hits, &n.MessageID)
		n.Created, n.Expires = waypost.FromMillis(created), waypost.FromMillis(expires)
		list = append(list, n)
		return err
	})
	return list, err
}

// Exempt lists the addresses of an operator that nothing but a person suppresses, after a
// cursor: the last address seen. next continues the listing, "" at its end.
func (s *Store) Exempt(ctx context.Context, operatorID, cursor string, limit int) (list []string, next string, err error) {
	limit = pageSize(limit)
	rows, err := s.queries().Exempt(ctx, tenantsql.ExemptParams{OperatorID: operatorID, After: cursor, Most: int64(limit + 1)})
	if err != nil {
		return nil, "", fmt.Errorf("list exempt addresses: %w", err)
	}
	for _, row := range rows {
		list = append(list, row.Address)
	}
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1]
	}
	return list, next, nil
}

// maxExempt bounds the exempt addresses of an operator: they are for the few that matter.
const maxExempt = 1000

// AddExempt exempts an address from being suppressed by what happens to its mail, and ends
// what suppresses it for that now. Twice is no error; Conflict if there are too many.
func (s *Store) AddExempt(ctx context.Context, by waypost.Actor, operatorID, addr string, now time.Time) error {
	addr = NormalizeAddress(addr)
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		if n, err := q.CountExempt(ctx, operatorID); err != nil {
			return err
		} else if n >= maxExempt {
			return waypost.NewError(waypost.Conflict, "too_many_exempt", fmt.Sprintf("there are %d exempt addresses already, which is the most", maxExempt))
		}
		n, err := q.PutExempt(ctx, tenantsql.PutExemptParams{OperatorID: operatorID, Address: addr, Created: waypost.Millis(now)})
		if err != nil || n == 0 {
			return err
		}
		reasons, err := q.ClearSuppressions(ctx, tenantsql.ClearSuppressionsParams{OperatorID: operatorID, Address: addr})
		if err != nil {
			return err
		}
		for _, reason := range reasons {
			if err := unsuppressed(ctx, tx, operatorID, addr, waypost.SuppressionReason(reason), now); err != nil {
				return err
			}
		}
		return audit(ctx, tx, by, operatorID, "suppression.exempt", addr, "")
	})
}

// RemoveExempt lets an address be suppressed again. The error is NotFound if it is not exempt.
func (s *Store) RemoveExempt(ctx context.Context, by waypost.Actor, operatorID, addr string) error {
	addr = NormalizeAddress(addr)
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		n, err := q.DeleteExempt(ctx, tenantsql.DeleteExemptParams{OperatorID: operatorID, Address: addr})
		if err == nil && n == 0 {
			return notFound("exempt address")
		}
		if err != nil {
			return err
		}
		return audit(ctx, tx, by, operatorID, "suppression.unexempt", addr, "")
	})
}
