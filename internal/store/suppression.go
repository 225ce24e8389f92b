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
	Kind    waypost.Kind // "" for any, AllKinds for those of every kind
}

// ofKind is how rows name a kind that is asked for.
func ofKind(asked waypost.Kind) string {
	if asked == waypost.AllKinds {
		return ""
	}
	return string(asked)
}

const suppressionColumns = "operator_id, address, reason, kind, detail, created, expires, hits, message_id, via"

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
	if f.Kind != "" {
		w.and("kind = ?", ofKind(f.Kind))
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
	if after := strings.SplitN(cursor, ":", 3); len(after) == 3 {
		w.and("(address, reason, kind) > (?, ?, ?)", after[2], after[0], after[1])
	}
	rows, err := s.engine.Reader().QueryContext(ctx, "SELECT "+suppressionColumns+` FROM suppression
WHERE `+w.text+` ORDER BY address, reason, kind LIMIT `+w.arg(limit+1), w.args...)
	if err != nil {
		return nil, "", fmt.Errorf("list suppressions: %w", err)
	}
	if list, err = scanSuppressions(rows); err != nil {
		return nil, "", fmt.Errorf("list suppressions: %w", err)
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		next = string(last.Reason) + ":" + string(last.Kind) + ":" + last.Address
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
			"SELECT "+suppressionColumns+" FROM suppression WHERE "+w.text, w.args...)
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
// same address, reason and kind. Only the first of an operator raises the change number:
// whether there is any at all is what processes keep in memory.
func (s *Store) AddSuppression(ctx context.Context, by waypost.Actor, operatorID string, n waypost.Suppression) error {
	created := n.Created
	if created.IsZero() {
		created = time.Now()
	}
	n.OperatorID, n.Address, n.Created, n.Hits, n.Via = operatorID, NormalizeAddress(n.Address), created, 1, waypost.ViaOf(by)
	err := s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := audit(ctx, tx, by, operatorID, "suppression.add", n.Address, suppressionDetail(n)); err != nil {
			return err
		}
		return putSuppression(ctx, tx, n)
	})
	if err != nil {
		return fmt.Errorf("add suppression: %w", err)
	}
	return nil
}

// suppressionDetail is what the audit log says about one beside its address.
func suppressionDetail(n waypost.Suppression) waypost.Detail {
	if n.Kind == "" {
		return waypost.Detail(n.Reason)
	}
	return waypost.Detail(string(n.Reason) + " " + string(n.Kind))
}

// RemoveSuppression removes the suppressions of an address that have a reason, "" for any,
// and are of a kind, "" for any and AllKinds for those of every kind. The error is NotFound
// if there is none.
func (s *Store) RemoveSuppression(ctx context.Context, by waypost.Actor, operatorID, addr string, reason waypost.SuppressionReason, kind waypost.Kind) error {
	addr = NormalizeAddress(addr)
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		rows, err := q.SuppressionsOf(ctx, tenantsql.SuppressionsOfParams{OperatorID: operatorID, Address: addr})
		if err != nil {
			return err
		}
		found := false
		for _, row := range rows {
			n := suppressionOf(row)
			if reason != "" && n.Reason != reason || kind != "" && string(n.Kind) != ofKind(kind) {
				continue
			}
			found = true
			if err := dropSuppression(ctx, tx, n); err != nil {
				return err
			}
			if err := audit(ctx, tx, by, operatorID, "suppression.remove", addr, suppressionDetail(n)); err != nil {
				return err
			}
		}
		if !found {
			return notFound("suppression")
		}
		return nil
	})
}

func scanSuppressions(rows *sql.Rows) ([]waypost.Suppression, error) {
	var list []waypost.Suppression
	err := engine.Each(rows, func(rows *sql.Rows) error {
		var n waypost.Suppression
		var created, expires int64
		err := rows.Scan(&n.OperatorID, &n.Address, &n.Reason, &n.Kind, &n.Detail, &created, &expires, &n.Hits, &n.MessageID, &n.Via)
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
		rows, err := q.SuppressionsOf(ctx, tenantsql.SuppressionsOfParams{OperatorID: operatorID, Address: addr})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if old := suppressionOf(row); !old.Reason.Word() {
				if err := dropSuppression(ctx, tx, old); err != nil {
					return err
				}
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
