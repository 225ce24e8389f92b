// Package system is the SQL that crosses operators: the queue's claims and results,
// nodes and their leases, credentials by key, and the audit. Only the packages that
// the linter names may import it; everything a tenant asks goes through store.
//
// A delivery's way through it:
//
//  1. Due finds the (lane, operator, site) keys that have due rows, by a loose scan
//     of one index;
//  2. Claim leases some rows of one key to this incarnation and counts the attempt;
//  3. Finish, fenced by incarnation and epoch, records attempt, event, state and
//     counters in one group-committed transaction;
//  4. Recover takes the leases of a dead incarnation back; Expire ends what is past
//     its time.
package system

import (
	"context"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
)

// System answers queries across operators.
type System struct {
	*store.Store
	engine   *engine.Engine
	finishes *engine.Queue[*Finish]
}

// New returns the system queries on the store of this node. It must be made before
// the first write.
func New(s *store.Store) *System {
	y := &System{Store: s, engine: s.Engine()}
	y.finishes = engine.NewFirstQueue(y.engine, y.applyFinishes)
	return y
}

// Ping reports whether the database answers.
func (y *System) Ping(ctx context.Context) error { return y.engine.Ping(ctx) }
