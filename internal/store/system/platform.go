package system

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	// operatorChunk is how many operators a search reads at once, operatorBound how many a
	// page of it looks at.
	operatorChunk = 500
	operatorBound = 20000
)

// FindOperators lists operators, the newest first, before the one whose id is cursor. next
// continues the listing, "" at its end; a page of a search by name may be short of limit
// and have a next one.
func (y *System) FindOperators(ctx context.Context, f waypost.OperatorFilter, cursor string, limit int) (list []waypost.OperatorEntry, next string, err error) {
	limit = pageSize(limit)
	before := store.Before(cursor)
	chunk := operatorChunk
	if f.Name == "" {
		chunk = limit + 1
	}
	for seen := 0; ; {
		found, err := y.operatorChunk(ctx, f, before, chunk)
		if err != nil {
			return nil, "", fmt.Errorf("list operators: %w", err)
		}
		for _, o := range found {
			if !named(o.Operator, f.Name) {
				continue
			}
			if len(list) == limit {
				return list, list[limit-1].ID, nil
			}
			list = append(list, o)
		}
		if len(found) < chunk {
			return list, "", nil
		}
		before = found[len(found)-1].ID
		if seen += len(found); seen >= operatorBound {
			return list, before, nil
		}
	}
}

// named reports whether a search means an operator.
func named(o waypost.Operator, search string) bool {
	return search == "" || o.ID == search || strings.Contains(strings.ToLower(o.Name), strings.ToLower(search))
}

func (y *System) operatorChunk(ctx context.Context, f waypost.OperatorFilter, before string, limit int) ([]waypost.OperatorEntry, error) {
	cond, args := "o.id < $1", []any{before}
	if f.ParentID != "" {
		args = append(args, f.ParentID)
		cond += fmt.Sprintf(" AND o.parent_id = $%d", len(args))
	}
	switch f.Trouble {
	case waypost.TroubleSuspended:
		cond += " AND o.suspended"
	case waypost.TroubleFailing:
		cond += " AND r.failing_since > 0"
	case waypost.TroubleGateway:
		cond += " AND (o.gateway = '' OR e.allowed IS NULL OR NOT e.allowed)"
	case waypost.TroubleGuard:
		cond += " AND g.level <> 'ok'"
	}
	args = append(args, limit, waypost.PlatformOperatorID)
	rows, err := y.engine.Reader().QueryContext(ctx, fmt.Sprintf(`SELECT o.id, o.parent_id, o.name, o.product, o.contact, o.suspended, o.gateway, o.per_minute, o.per_day, o.trusted, o.created,
  COALESCE(p.name, ''), COALESCE(e.allowed, FALSE) OR o.gateway = '' OR o.id = $%d, COALESCE(r.failing_since, 0), COALESCE(r.failing_why, ''),
  COALESCE(g.level, 'ok')
FROM operator o
LEFT JOIN operator p ON p.id = o.parent_id
LEFT JOIN entitlement e ON e.product = o.product AND e.gateway = o.gateway
LEFT JOIN relay r ON r.operator_id = o.id AND o.gateway = 'smtp'
LEFT JOIN reputation g ON g.operator_id = o.id AND o.gateway = 'builtin'
WHERE %s ORDER BY o.id DESC LIMIT $%d`, len(args), cond, len(args)-1), args...)
	if err != nil {
		return nil, err
	}
	var list []waypost.OperatorEntry
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var o waypost.OperatorEntry
		var created, failing int64
		var allowed bool
		err := rows.Scan(&o.ID, &o.ParentID, &o.Name, &o.Product, &o.Contact, &o.Suspended, &o.Gateway, &o.PerMinute, &o.PerDay, &o.Trusted, &created,
			&o.ParentName, &allowed, &failing, &o.FailingWhy, &o.Level)
		o.Created, o.FailingSince, o.Withdrawn = waypost.FromMillis(created), waypost.FromMillis(failing), !allowed
		list = append(list, o)
		return err
	})
	return list, err
}

// Traffic adds up what happened to the mail of some operators since a time, its hour
// included, from the roll-up.
func (y *System) Traffic(ctx context.Context, operatorIDs []string, since time.Time) (map[string]store.Counts, error) {
	traffic := map[string]store.Counts{}
	if len(operatorIDs) == 0 {
		return traffic, nil
	}
	marks, args := marks(operatorIDs, 2)
	rows, err := y.engine.Reader().QueryContext(ctx, "SELECT operator_id, CAST(SUM(accepted) AS bigint), "+stateSums+
		" FROM rollup WHERE hour >= $1 AND operator_id IN ("+marks+") GROUP BY operator_id", append([]any{since.Unix() / 3600}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("read roll-up: %w", err)
	}
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var id string
		var c store.Counts
		err := rows.Scan(&id, &c.Accepted, &c.Delivered, &c.Bounced, &c.Expired, &c.Cancelled, &c.Suppressed, &c.Uncertain)
		traffic[id] = c
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read roll-up: %w", err)
	}
	return traffic, nil
}

// AllTotals reads what became of everything that was ever handed over, by all operators
// there are and were.
func (y *System) AllTotals(ctx context.Context) (store.Counts, error) {
	var c store.Counts
	err := y.engine.Reader().QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(accepted), 0) AS bigint), CAST(COALESCE(SUM(delivered), 0) AS bigint),
  CAST(COALESCE(SUM(bounced), 0) AS bigint), CAST(COALESCE(SUM(expired), 0) AS bigint), CAST(COALESCE(SUM(cancelled), 0) AS bigint),
  CAST(COALESCE(SUM(suppressed), 0) AS bigint), CAST(COALESCE(SUM(uncertain), 0) AS bigint) FROM counter`).
		Scan(&c.Accepted, &c.Delivered, &c.Bounced, &c.Expired, &c.Cancelled, &c.Suppressed, &c.Uncertain)
	if err != nil {
		return c, fmt.Errorf("read counters: %w", err)
	}
	return c, nil
}

// HeldBound is up to how many held deliveries are counted.
const HeldBound = 1000

// Held counts the held deliveries of an operator, or of all for "", up to HeldBound.
func (y *System) Held(ctx context.Context, operatorID string) (int64, error) {
	cond, args := "", []any{HeldBound}
	if operatorID != "" {
		cond, args = " AND operator_id = $2", append(args, operatorID)
	}
	var n int64
	err := y.engine.Reader().QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM delivery WHERE state = 'queued' AND held"+cond+" LIMIT $1) AS bounded", args...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count held deliveries: %w", err)
	}
	return n, nil
}

// SendersWaitingCount is how many senders wait for a decision.
func (y *System) SendersWaitingCount(ctx context.Context) (int64, error) {
	var n int64
	if err := y.engine.Reader().QueryRowContext(ctx, "SELECT COUNT(*) FROM sender WHERE state = 'requested'").Scan(&n); err != nil {
		return 0, fmt.Errorf("count senders: %w", err)
	}
	return n, nil
}

// OperatorNames reads the names of operators, at most 1,000; of those that are gone there
// is none.
func (y *System) OperatorNames(ctx context.Context, ids []string) (map[string]string, error) {
	names := map[string]string{}
	if len(ids) == 0 {
		return names, nil
	}
	marks, args := marks(ids, 1)
	rows, err := y.engine.Reader().QueryContext(ctx, "SELECT id, name FROM operator WHERE id IN ("+marks+")", args...)
	if err != nil {
		return nil, fmt.Errorf("read operators: %w", err)
	}
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var id, name string
		err := rows.Scan(&id, &name)
		names[id] = name
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read operators: %w", err)
	}
	return names, nil
}

// marks are the placeholders of some values, the first being $first.
func marks(values []string, first int) (text string, args []any) {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = fmt.Sprintf("$%d", first+i)
		args = append(args, v)
	}
	return strings.Join(list, ", "), args
}

// Entitlements reads which gateways products may use.
func (y *System) Entitlements(ctx context.Context) ([]waypost.Entitlement, error) {
	rows, err := y.queries().AllEntitlements(ctx)
	if err != nil {
		return nil, fmt.Errorf("read entitlements: %w", err)
	}
	return entitlements(rows), nil
}

func entitlements(rows []systemsql.Entitlement) []waypost.Entitlement {
	list := make([]waypost.Entitlement, len(rows))
	for i, row := range rows {
		list[i] = waypost.Entitlement{
			Product: waypost.Product(row.Product), Gateway: waypost.GatewayType(row.Gateway), Allowed: row.Allowed, Initial: row.Initial,
		}
	}
	return list
}

// SaveEntitlements writes those that differ from what is kept. Errors are Invalid with the
// product as the field, for a gateway that new operators start with and may not use, and
// for two of these.
func (y *System) SaveEntitlements(ctx context.Context, by waypost.Actor, list []waypost.Entitlement) error {
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		rows, err := q.AllEntitlements(ctx)
		if err != nil {
			return nil, err
		}
		type place struct {
			product waypost.Product
			gateway waypost.GatewayType
		}
		was := map[place]waypost.Entitlement{}
		for _, e := range entitlements(rows) {
			was[place{e.Product, e.Gateway}] = e
		}
		is := maps.Clone(was)
		var entries []waypost.AuditEntry
		for _, e := range list {
			is[place{e.Product, e.Gateway}] = e
			if was[place{e.Product, e.Gateway}] == e {
				continue
			}
			if err := q.SetEntitlement(ctx, systemsql.SetEntitlementParams{
				Product: string(e.Product), Gateway: string(e.Gateway), Allowed: e.Allowed, Initial: e.Initial,
			}); err != nil {
				return nil, err
			}
			entries = append(entries, waypost.AuditEntry{
				OperatorID: waypost.PlatformOperatorID, Actor: by, Action: "entitlement.change", Target: string(e.Product) + ", " + string(e.Gateway),
				Detail: waypost.NewDetail(entitled(e)),
			})
		}
		return entries, checkEntitlements(slices.Collect(maps.Values(is)))
	})
	if err != nil {
		return fmt.Errorf("save entitlements: %w", err)
	}
	return nil
}

// entitled says what a product has of a gateway.
func entitled(e waypost.Entitlement) waypost.DetailCode {
	switch {
	case !e.Allowed:
		return waypost.DetailExcluded
	case e.Initial:
		return waypost.DetailInitial
	default:
		return waypost.DetailIncluded
	}
}

func checkEntitlements(list []waypost.Entitlement) error {
	initial := map[waypost.Product]bool{}
	for _, e := range list {
		if !e.Initial {
			continue
		}
		if !e.Allowed {
			return &waypost.Error{
				Kind: waypost.Invalid, Code: "initial_not_allowed", Field: string(e.Product),
				Message: "operators of a product cannot start with a gateway that it does not allow",
			}
		}
		if initial[e.Product] {
			return waypost.FieldError(string(e.Product), "operators of a product start with one gateway")
		}
		initial[e.Product] = true
	}
	return nil
}
