package system

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// AuditFinding is a figure of one operator that is not what it has to be.
type AuditFinding struct {
	OperatorID string `json:"operator_id"`
	What       string `json:"what"` // "delivered: rows and retired" and the like
	Want       int64  `json:"want"` // what the counters say
	Got        int64  `json:"got"`
}

func (f AuditFinding) String() string {
	return fmt.Sprintf("operator %s: %s: counters say %d, found %d", f.OperatorID, f.What, f.Want, f.Got)
}

// figures are the three independent books of one operator.
type figures struct {
	counters store.Counts
	rows     store.Counts // deliveries by state, and what retention took away; Accepted is all of them
	events   store.Counts // what the events that are left add up to, and what retention took away
	queued   int64        // rows
	requeued int64        // events: entered queued less left queued
}

// Audit compares, at one moment, the counters with the rows and with the events of
// every operator, and returns what differs: nothing, unless something was lost,
// doubled, or changed by hand. It reads all deliveries and events.
func (y *System) Audit(ctx context.Context) ([]AuditFinding, error) {
	books := map[string]*figures{}
	of := func(operator string) *figures {
		if books[operator] == nil {
			books[operator] = &figures{}
		}
		return books[operator]
	}
	err := y.engine.Snapshot(ctx, func(r engine.Reader) error {
		if err := readCounts(ctx, r, `SELECT operator_id, CAST(SUM(accepted) AS bigint), `+stateSums+` FROM counter GROUP BY operator_id`,
			func(operator string, c store.Counts) { of(operator).counters = c }); err != nil {
			return err
		}
		if err := readCounts(ctx, r, `SELECT operator_id, 0, `+stateSums+` FROM retired GROUP BY operator_id`,
			func(operator string, c store.Counts) {
				// Only final deliveries are retired, with all their events.
				c.Accepted = c.Final()
				of(operator).rows.Add(c)
				of(operator).events.Add(c)
			}); err != nil {
			return err
		}
		if err := readMoves(ctx, r, `SELECT operator_id, '', '', state, COUNT(*) FROM delivery GROUP BY operator_id, state`,
			func(operator string, _ waypost.EventType, _, state waypost.State, n int64) {
				f := of(operator)
				f.rows.Accepted += n
				if c := f.rows.Of(state); c != nil {
					*c += n
				} else {
					f.queued += n
				}
			}); err != nil {
			return err
		}
		return readMoves(ctx, r, `SELECT operator_id, type, from_state, to_state, CAST(SUM(count) AS bigint) FROM event
WHERE to_state <> '' GROUP BY operator_id, type, from_state, to_state`,
			func(operator string, kind waypost.EventType, from, to waypost.State, n int64) {
				of(operator).moved(kind, from, to, n)
			})
	})
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	var findings []AuditFinding
	for operator, f := range books {
		findings = append(findings, f.findings(operator)...)
	}
	slices.SortFunc(findings, func(a, b AuditFinding) int {
		if c := strings.Compare(a.OperatorID, b.OperatorID); c != 0 {
			return c
		}
		return strings.Compare(a.What, b.What)
	})
	return findings, nil
}

func (f *figures) moved(kind waypost.EventType, from, to waypost.State, n int64) {
	if kind == waypost.EventAccepted {
		f.events.Accepted += n
		f.requeued += n
		return
	}
	if c := f.events.Of(from); c != nil {
		*c -= n
	} else {
		f.requeued -= n
	}
	if c := f.events.Of(to); c != nil {
		*c += n
	} else {
		f.requeued += n
	}
}

func (f *figures) findings(operator string) []AuditFinding {
	var found []AuditFinding
	compare := func(what string, want, got int64) {
		if want != got {
			found = append(found, AuditFinding{OperatorID: operator, What: what, Want: want, Got: got})
		}
	}
	queued := f.counters.Accepted - f.counters.Final()
	compare("accepted: rows and retired", f.counters.Accepted, f.rows.Accepted)
	compare("accepted: events and retired", f.counters.Accepted, f.events.Accepted)
	compare("queued: rows", queued, f.queued)
	compare("queued: events", queued, f.requeued)
	for _, state := range waypost.FinalStates() {
		want := *f.counters.Of(state)
		compare(string(state)+": rows and retired", want, *f.rows.Of(state))
		compare(string(state)+": events and retired", want, *f.events.Of(state))
	}
	return found
}

const stateSums = `CAST(SUM(delivered) AS bigint), CAST(SUM(bounced) AS bigint), CAST(SUM(expired) AS bigint),
  CAST(SUM(cancelled) AS bigint), CAST(SUM(suppressed) AS bigint), CAST(SUM(uncertain) AS bigint)`

func readCounts(ctx context.Context, r engine.Reader, query string, use func(operator string, c store.Counts)) error {
	rows, err := r.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	return engine.Each(rows, func(rows *sql.Rows) error {
		var operator string
		var c store.Counts
		err := rows.Scan(&operator, &c.Accepted, &c.Delivered, &c.Bounced, &c.Expired, &c.Cancelled, &c.Suppressed, &c.Uncertain)
		if err == nil {
			use(operator, c)
		}
		return err
	})
}

func readMoves(ctx context.Context, r engine.Reader, query string,
	use func(operator string, kind waypost.EventType, from, to waypost.State, n int64),
) error {
	rows, err := r.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	return engine.Each(rows, func(rows *sql.Rows) error {
		var operator string
		var kind waypost.EventType
		var from, to waypost.State
		var n int64
		err := rows.Scan(&operator, &kind, &from, &to, &n)
		if err == nil {
			use(operator, kind, from, to, n)
		}
		return err
	})
}
