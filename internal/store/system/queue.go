package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Filters are in package waypost, for those who must not know this one.
type (
	// QueueState is where a queued delivery stands.
	QueueState = waypost.QueueState
	// QueueFilter picks queued deliveries.
	QueueFilter = waypost.QueueFilter
)

// The queue states.
const (
	QueueLeased    = waypost.QueueLeased
	QueueHeld      = waypost.QueueHeld
	QueueDeferred  = waypost.QueueDeferred
	QueueScheduled = waypost.QueueScheduled
)

// A source is an index over a part of the queue, in the order of a key and then id.
type source struct {
	name string
	cond string // as the index says it
	key  string
	cast string // type of the key
}

// sources are what a listing of some state runs through, one after the other.
func sources(state QueueState) []source {
	leased := source{"leased", "lease <> '' AND state = 'queued'", "lease", "text"}
	waiting := source{"waiting", "state = 'queued' AND lease = ''", "expires", "bigint"}
	held := source{"held", "state = 'queued' AND held", "operator_id", "text"}
	switch state {
	case QueueLeased:
		return []source{leased}
	case QueueHeld:
		return []source{held}
	case QueueDeferred:
		waiting.cond += " AND NOT held AND attempts > 0"
		return []source{waiting}
	case QueueScheduled:
		waiting.cond += " AND NOT held AND attempts = 0"
		return []source{waiting}
	}
	return []source{waiting, leased}
}

// QueueList lists queued deliveries: those that wait, then the leased ones. next continues
// the listing, "" at its end; limit 0 means 50, at most 1,000. What waits is in the order
// in which it expires; of an operator or to a domain, by operator, site and next time,
// with what is held behind it.
func (y *System) QueueList(ctx context.Context, f QueueFilter, cursor string, limit int) (list []waypost.Delivery, next string, err error) {
	limit = pageSize(limit)
	if (f.OperatorID != "" || f.Domain != "") && f.State != QueueLeased && f.State != QueueHeld {
		return y.listKeyed(ctx, f, cursor, limit)
	}
	list, next, err = scanQueue(ctx, y.engine.Reader(), f, cursor, limit, "")
	if err != nil {
		return nil, "", fmt.Errorf("list queue: %w", err)
	}
	return list, next, nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// scanQueue reads up to limit rows after a cursor, which is "source|key|id".
func scanQueue(ctx context.Context, q querier, f QueueFilter, cursor string, limit int, lock string) (
	list []waypost.Delivery, next string, err error,
) {
	return scanSources(ctx, q, f, sources(f.State), cursor, limit, lock, nil)
}

// scanSources is scanQueue for given sources; it appends to list, which may have rows.
func scanSources(ctx context.Context, q querier, f QueueFilter, from []source, cursor string, limit int, lock string, list []waypost.Delivery) (
	[]waypost.Delivery, string, error,
) {
	name, rest, _ := strings.Cut(cursor, "|")
	key, id, _ := strings.Cut(rest, "|")
	for _, s := range from {
		if cursor != "" && s.name != name {
			continue
		}
		cond, args := s.cond, []any{}
		add := func(text string, arg any) {
			args = append(args, arg)
			cond += " AND " + strings.Replace(text, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		if f.OperatorID != "" {
			add("operator_id = ?", f.OperatorID)
		}
		if f.Domain != "" {
			add("site = ?", strings.ToLower(f.Domain))
		}
		if f.Lane != "" {
			add("lane = ?", f.Lane.Rank())
		}
		if cursor != "" {
			if _, err := strconv.ParseInt(key, 10, 64); s.cast == "bigint" && err != nil {
				return nil, "", errCursor()
			}
			args = append(args, key, id)
			cond += fmt.Sprintf(" AND (%s, id) > (CAST($%d AS %s), $%d)", s.key, len(args)-1, s.cast, len(args))
		}
		args = append(args, limit-len(list)+1)
		rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM delivery WHERE %s ORDER BY %s, id LIMIT $%d%s",
			store.DeliveryColumns, cond, s.key, len(args), lock), args...)
		if err != nil {
			return nil, "", err
		}
		earlier := len(list)
		if list, err = store.ScanDeliveries(rows, list); err != nil {
			return nil, "", err
		}
		switch {
		case len(list) > limit && earlier == limit: // the page was full before
			return list[:limit], s.name + "||", nil
		case len(list) > limit:
			list = list[:limit]
			return list, s.cursor(list[limit-1]), nil
		}
		cursor = ""
	}
	return list, "", nil
}

func errCursor() error {
	return waypost.NewError(waypost.Invalid, "cursor", "this is not a place in this list")
}

// cursor is where a listing goes on after d.
func (s source) cursor(d waypost.Delivery) string {
	key := d.Lease
	switch s.key {
	case "expires":
		key = strconv.FormatInt(waypost.Millis(d.Expires), 10)
	case "operator_id":
		key = d.OperatorID
	}
	return s.name + "|" + key + "|" + d.ID
}

// Leased lists what an incarnation holds. A node compares it with what it knows of:
// a claim or an accept whose commit was answered by a lost connection may have leased
// rows that are not in its memory.
func (y *System) Leased(ctx context.Context, incarnation string) ([]waypost.Delivery, error) {
	rows, err := y.engine.Reader().QueryContext(ctx,
		"SELECT "+store.DeliveryColumns+" FROM delivery WHERE lease = $1 AND lease <> '' ORDER BY id", incarnation)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	list, err := store.ScanDeliveries(rows, nil)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	return list, nil
}

// Orphans lists incarnations that hold leases but are not among the nodes: a node
// that was taken for dead may have committed a last accept or claim after Recover.
// Recover takes their leases back too.
func (y *System) Orphans(ctx context.Context) ([]string, error) {
	var orphans []string
	for after := ""; ; {
		// One descent of the index for each incarnation, however many rows it holds.
		var known bool
		err := y.engine.Reader().QueryRowContext(ctx, `SELECT d.lease, EXISTS (SELECT 1 FROM node n WHERE n.incarnation = d.lease)
FROM delivery d WHERE d.lease <> '' AND d.lease > $1 ORDER BY d.lease LIMIT 1`, after).Scan(&after, &known)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list orphaned leases: %w", err)
		}
		if !known {
			orphans = append(orphans, after)
		}
	}
	rows, err := y.engine.Reader().QueryContext(ctx, `SELECT DISTINCT w.lease FROM webhook w
WHERE w.lease <> '' AND NOT EXISTS (SELECT 1 FROM node n WHERE n.incarnation = w.lease)`)
	more, err := store.ScanStrings(rows, err)
	if err != nil {
		return nil, fmt.Errorf("list orphaned leases: %w", err)
	}
	for _, incarnation := range more {
		if !slices.Contains(orphans, incarnation) {
			orphans = append(orphans, incarnation)
		}
	}
	return orphans, nil
}

// depthBound is up to how many rows of a lane QueueDepth counts one by one.
const depthBound = 10000

// QueueDepth counts queued deliveries by lane, at a bounded cost: a lane is counted
// row by row up to 10,000 waiting ones. Beyond, the counters say how many there are in
// all, and what no counted lane has is shared evenly among the lanes over the bound;
// so the figures are exact unless two lanes are.
func (y *System) QueueDepth(ctx context.Context) (map[waypost.Lane]int64, error) {
	depth := map[waypost.Lane]int64{}
	err := y.engine.Snapshot(ctx, func(r engine.Reader) error {
		var over []waypost.Lane
		for _, lane := range waypost.Lanes() {
			var n int64
			if err := r.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM delivery
WHERE state = 'queued' AND lease = '' AND NOT held AND lane = $1 LIMIT $2) AS bounded`, lane.Rank(), depthBound).Scan(&n); err != nil {
				return err
			}
			depth[lane] = n
			if n == depthBound {
				over = append(over, lane)
			}
		}
		// Leased rows are as many as nodes hold in memory.
		rows, err := r.QueryContext(ctx, `SELECT lane, COUNT(*) FROM delivery WHERE lease <> '' GROUP BY lane
UNION ALL SELECT lane, COUNT(*) FROM (SELECT lane FROM delivery WHERE state = 'queued' AND held LIMIT $1) AS bounded GROUP BY lane`, depthBound)
		if err != nil {
			return err
		}
		if err := engine.Each(rows, func(rows *sql.Rows) error {
			var rank int
			var n int64
			err := rows.Scan(&rank, &n)
			depth[waypost.LaneOfRank(rank)] += n
			return err
		}); err != nil || len(over) == 0 {
			return err
		}
		var rest int64
		if err := r.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(accepted - delivered - bounced - expired - cancelled - suppressed - uncertain), 0)
  AS bigint) FROM counter`).Scan(&rest); err != nil {
			return err
		}
		for _, n := range depth {
			rest -= n
		}
		for _, lane := range over {
			depth[lane] += max(rest, 0) / int64(len(over))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count queue: %w", err)
	}
	return depth, nil
}
