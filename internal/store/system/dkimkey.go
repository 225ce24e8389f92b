package system

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/waypost"
)

// DKIMKey is one of the platform's signing keys. Times are zero for never.
type DKIMKey struct {
	Selector  string
	Sealed    []byte // PKCS#8, sealed with the instance key
	Signs     bool   // the one in use
	Created   time.Time
	Started   time.Time     // since when it signs
	Proposed  time.Time     // when its replacement was proposed
	Wanted    time.Time     // when it was asked to sign
	Seen      time.Time     // since when its record is at the authoritative servers
	Cached    time.Time     // since when it is at a recursive one too
	TTL       time.Duration // the longest seen of its records
	Retired   time.Time     // when it stopped signing
	Announced time.Time     // when the owner was told its record
}

// DKIMKeys lists the keys by selector.
func (y *System) DKIMKeys(ctx context.Context) ([]DKIMKey, error) {
	rows, err := y.queries().DKIMKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list DKIM keys: %w", err)
	}
	keys := make([]DKIMKey, len(rows))
	for i, row := range rows {
		keys[i] = DKIMKey{
			Selector: row.Selector, Sealed: row.Key, Signs: row.Signs, Created: waypost.FromMillis(row.Created),
			Started: waypost.FromMillis(row.Started), Proposed: waypost.FromMillis(row.Proposed), Wanted: waypost.FromMillis(row.Wanted),
			Seen: waypost.FromMillis(row.Seen), Cached: waypost.FromMillis(row.Cached), TTL: time.Duration(row.Ttl) * time.Millisecond,
			Retired: waypost.FromMillis(row.Retired), Announced: waypost.FromMillis(row.Announced),
		}
	}
	return keys, nil
}

// AddDKIMKey adds a key that its owner is about to see; if it signs, no other does any
// more. The error is Conflict if the selector is in use.
func (y *System) AddDKIMKey(ctx context.Context, k DKIMKey) error {
	if k.Created.IsZero() {
		k.Created = time.Now()
	}
	created := waypost.Millis(k.Created)
	err := y.change(ctx, func(ctx context.Context, q *systemsql.Queries) error {
		row := systemsql.InsertDKIMKeyParams{Selector: k.Selector, Key: k.Sealed, Signs: k.Signs, Created: created, Announced: created}
		if k.Signs {
			row.Started = created
			if err := q.SilenceDKIMKeys(ctx, created); err != nil {
				return err
			}
		}
		return q.InsertDKIMKey(ctx, row)
	})
	if y.engine.Dialect.IsUnique(err) {
		return waypost.NewError(waypost.Conflict, "selector_used", "there is a DKIM key with this selector already")
	}
	if err != nil {
		return fmt.Errorf("add DKIM key: %w", err)
	}
	return nil
}

// RotationChore is the chore that looks after the keys.
const RotationChore = "rotation"

// WantDKIMKey notes that a key is asked to sign, if it is not already, and makes the
// chore due. The error is Conflict if the key signs, or has signed and is kept.
func (y *System) WantDKIMKey(ctx context.Context, by waypost.Actor, selector string, now time.Time) error {
	entry := waypost.AuditEntry{OperatorID: waypost.PlatformOperatorID, Actor: by, Action: "dkim.rotate", Target: selector, At: now}
	err := y.audited(ctx, entry, func(ctx context.Context, q *systemsql.Queries) error {
		n, err := q.WantDKIMKey(ctx, systemsql.WantDKIMKeyParams{Selector: selector, Now: waypost.Millis(now)})
		if err == nil && n == 0 {
			err = wanted(ctx, q, selector)
		}
		if err != nil {
			return err
		}
		return q.HurryChore(ctx, systemsql.HurryChoreParams{Name: RotationChore, Due: waypost.Millis(now)})
	})
	if err != nil {
		return fmt.Errorf("ask for DKIM key %s: %w", selector, err)
	}
	return nil
}

// wanted reports that a key is wanted already.
func wanted(ctx context.Context, q *systemsql.Queries, selector string) error {
	rows, err := q.DKIMKeys(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Selector == selector && row.Wanted > 0 {
			return nil
		}
	}
	return waypost.NewError(waypost.Conflict, "key_not_ready", "this DKIM key cannot be asked to sign now")
}

// NoteDKIMKey saves what was observed and told of a key: Proposed, Seen, Cached, TTL and
// Announced. The error is Conflict if it is another key by now, or has begun or stopped to
// sign.
func (y *System) NoteDKIMKey(ctx context.Context, k DKIMKey) error {
	return y.keyChange(ctx, "note", k.Selector, y.quietly, func(ctx context.Context, q *systemsql.Queries) (int64, error) {
		return q.NoteDKIMKey(ctx, systemsql.NoteDKIMKeyParams{
			Proposed: waypost.Millis(k.Proposed), Seen: waypost.Millis(k.Seen), Cached: waypost.Millis(k.Cached),
			Ttl: k.TTL.Milliseconds(), Announced: waypost.Millis(k.Announced), Selector: k.Selector,
			Created: waypost.Millis(k.Created), Signs: k.Signs, Retired: waypost.Millis(k.Retired),
		})
	})
}

// recheckAfter is when domains are checked after another key began to sign.
const recheckAfter = 5 * time.Second

// SwitchDKIMKey makes a wanted key the one that signs; the one that did is retired. The
// checks of all authorized domains and the chore that looks after the keys become due: what
// a look found that is under way is about the keys as they were. The error is Conflict if
// the key is another by now or not wanted any more.
func (y *System) SwitchDKIMKey(ctx context.Context, to DKIMKey, now time.Time) error {
	at := waypost.Millis(now)
	return y.keyChange(ctx, "sign with", to.Selector, y.change, func(ctx context.Context, q *systemsql.Queries) (int64, error) {
		if err := q.SilenceDKIMKeys(ctx, at); err != nil { // first: one key signs at most
			return 0, err
		}
		// By then every process signs with it, and judges by that.
		if err := q.RecheckDomains(ctx, waypost.Millis(now.Add(recheckAfter))); err != nil {
			return 0, err
		}
		if err := q.HurryChore(ctx, systemsql.HurryChoreParams{Name: RotationChore, Due: at}); err != nil {
			return 0, err
		}
		return q.RaiseDKIMKey(ctx, systemsql.RaiseDKIMKeyParams{Selector: to.Selector, Created: waypost.Millis(to.Created), Now: at})
	})
}

// ReplaceDKIMKey puts a new key in the place of a retired one. The error is Conflict if
// that was done already.
func (y *System) ReplaceDKIMKey(ctx context.Context, old DKIMKey, sealed []byte, now time.Time) error {
	return y.keyChange(ctx, "replace", old.Selector, y.change, func(ctx context.Context, q *systemsql.Queries) (int64, error) {
		return q.ReplaceDKIMKey(ctx, systemsql.ReplaceDKIMKeyParams{
			Key: sealed, Now: waypost.Millis(now), Selector: old.Selector, Created: waypost.Millis(old.Created),
		})
	})
}

type keyCall = func(ctx context.Context, q *systemsql.Queries) error

// keyChange runs a change of one key that has to match its row.
func (y *System) keyChange(ctx context.Context, what, selector string, run func(context.Context, keyCall) error, call func(ctx context.Context, q *systemsql.Queries) (int64, error)) error {
	err := run(ctx, func(ctx context.Context, q *systemsql.Queries) error {
		n, err := call(ctx, q)
		if err == nil && n == 0 {
			err = waypost.NewError(waypost.Conflict, "key_changed", "the DKIM key has changed meanwhile")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s DKIM key %s: %w", what, selector, err)
	}
	return nil
}

// quietly is change for what no other process has to heed.
func (y *System) quietly(ctx context.Context, call keyCall) error {
	return y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error { return call(ctx, systemsql.New(tx)) })
}

// MoveChore says when a chore is due again that was taken until a time, unless somebody
// has made it due meanwhile.
func (y *System) MoveChore(ctx context.Context, name string, taken, next time.Time) error {
	err := y.quietly(ctx, func(ctx context.Context, q *systemsql.Queries) error {
		return q.MoveChore(ctx, systemsql.MoveChoreParams{Name: name, Taken: waypost.Millis(taken), Next: waypost.Millis(next)})
	})
	if err != nil {
		return fmt.Errorf("move chore %s: %w", name, err)
	}
	return nil
}
