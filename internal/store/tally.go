package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Counts are deliveries by fate. Accepted counts entries; the rest are final states.
type Counts struct {
	Accepted   int64 `json:"accepted"`
	Delivered  int64 `json:"delivered"`
	Bounced    int64 `json:"bounced"`
	Expired    int64 `json:"expired"`
	Cancelled  int64 `json:"cancelled"`
	Suppressed int64 `json:"suppressed"`
	Uncertain  int64 `json:"uncertain"`
}

// Of returns the count of a final state; nil for any other.
func (c *Counts) Of(s waypost.State) *int64 {
	switch s {
	case waypost.Delivered:
		return &c.Delivered
	case waypost.Bounced:
		return &c.Bounced
	case waypost.Expired:
		return &c.Expired
	case waypost.Cancelled:
		return &c.Cancelled
	case waypost.Suppressed:
		return &c.Suppressed
	case waypost.Uncertain:
		return &c.Uncertain
	case waypost.Queued:
	}
	return nil
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	c.Accepted += other.Accepted
	for _, s := range waypost.FinalStates() {
		*c.Of(s) += *other.Of(s)
	}
}

// Final is the sum of the final states.
func (c Counts) Final() int64 {
	var sum int64
	for _, s := range waypost.FinalStates() {
		sum += *c.Of(s)
	}
	return sum
}

// Tally gathers the counter changes of one transaction, so that each counter row is
// written once however many deliveries changed. Its zero value is empty.
type Tally struct {
	byOperator map[string]*operatorCounts
	byHour     map[hourKey]*hourCounts
}

// operatorCounts are the changes of a counter row.
type operatorCounts struct {
	Counts
	builtinAt time.Time // when the built-in gateway's figures changed; zero if they did not
}

// hourCounts are the changes of a rollup row.
type hourCounts struct {
	Counts
	accepted int64 // recipients for the built-in gateway
	builtin  waypost.GatewayFigures
}

type hourKey struct {
	operator string
	hour     int64
	kind     waypost.Kind
}

// Accepted counts n deliveries that entered.
func (t *Tally) Accepted(operator string, kind waypost.Kind, at time.Time, n int64) {
	total, hour := t.rows(operator, kind, at)
	total.Accepted += n
	hour.Accepted += n
}

// Moved counts n deliveries that went from one state to another. Counters of a final
// state fall when it is left, so the conservation law holds after every change.
func (t *Tally) Moved(operator string, kind waypost.Kind, from, to waypost.State, at time.Time, n int64) {
	if from == to {
		return
	}
	total, hour := t.rows(operator, kind, at)
	for _, c := range []*Counts{&total.Counts, &hour.Counts} {
		if left := c.Of(from); left != nil {
			*left -= n
		}
		if reached := c.Of(to); reached != nil {
			*reached += n
		}
	}
}

// BuiltinAccepted counts n recipients that are to leave by the built-in gateway.
func (t *Tally) BuiltinAccepted(operator string, kind waypost.Kind, at time.Time, n int64) {
	_, hour := t.rows(operator, kind, at)
	hour.accepted += n
}

// Builtin counts what became of mail on the built-in gateway, in the hour in which it ended
// there, however late it was found out.
func (t *Tally) Builtin(operator string, kind waypost.Kind, ended, now time.Time, f waypost.GatewayFigures) {
	total, hour := t.rows(operator, kind, ended)
	hour.builtin.Add(f)
	if now.After(total.builtinAt) {
		total.builtinAt = now
	}
}

func (t *Tally) rows(operator string, kind waypost.Kind, at time.Time) (total *operatorCounts, hour *hourCounts) {
	if t.byOperator == nil {
		t.byOperator = map[string]*operatorCounts{}
		t.byHour = map[hourKey]*hourCounts{}
	}
	total = t.byOperator[operator]
	if total == nil {
		total = &operatorCounts{}
		t.byOperator[operator] = total
	}
	key := hourKey{operator, at.Unix() / 3600, kind}
	hour = t.byHour[key]
	if hour == nil {
		hour = &hourCounts{}
		t.byHour[key] = hour
	}
	return total, hour
}

// AllOperators is the id under which the roll-up of all operators together is kept.
const AllOperators = ""

// hours is the roll-up of each operator and of all of them together.
func (t *Tally) hours() map[hourKey]*hourCounts {
	hours := make(map[hourKey]*hourCounts, 2*len(t.byHour))
	for key, c := range t.byHour {
		hours[key] = c
		key.operator = AllOperators
		if hours[key] == nil {
			hours[key] = &hourCounts{}
		}
		sum := hours[key]
		sum.Add(c.Counts)
		sum.accepted += c.accepted
		sum.builtin.Add(c.builtin)
	}
	return hours
}

// Write adds the tally to the counter and rollup rows of a node. Rows are written in
// key order, so that two writers of one node could not deadlock.
func (t *Tally) Write(ctx context.Context, tx *engine.Tx, node string) error {
	if len(t.byOperator) == 0 {
		return nil
	}
	args := make([]any, 0, counterColumns*len(t.byOperator))
	for _, operator := range slices.Sorted(maps.Keys(t.byOperator)) {
		c := t.byOperator[operator]
		args = append(args, operator, node, c.Accepted, c.Delivered, c.Bounced, c.Expired, c.Cancelled, c.Suppressed, c.Uncertain,
			waypost.Millis(c.builtinAt))
	}
	if err := tx.Rows(ctx, counterHead, counterTail, nil, counterColumns, args); err != nil {
		return err
	}
	hours := t.hours()
	keys := slices.SortedFunc(maps.Keys(hours), func(a, b hourKey) int {
		if c := strings.Compare(a.operator, b.operator); c != 0 {
			return c
		}
		if a.hour != b.hour {
			return int(a.hour - b.hour)
		}
		return strings.Compare(string(a.kind), string(b.kind))
	})
	args = make([]any, 0, rollupColumns*len(keys))
	for _, k := range keys {
		c := hours[k]
		args = append(args, k.operator, k.hour, string(k.kind), node,
			c.Accepted, c.Delivered, c.Bounced, c.Expired, c.Cancelled, c.Suppressed, c.Uncertain,
			c.accepted, c.builtin.Ended, c.builtin.Bounced, c.builtin.Complaints)
	}
	return tx.Rows(ctx, rollupHead, rollupTail, nil, rollupColumns, args)
}

const (
	counterColumns = 10
	counterHead    = `INSERT INTO counter (operator_id, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain, builtin_at)`
	counterTail    = ` ON CONFLICT (operator_id, node) DO UPDATE SET
  accepted = counter.accepted + excluded.accepted, delivered = counter.delivered + excluded.delivered,
  bounced = counter.bounced + excluded.bounced, expired = counter.expired + excluded.expired,
  cancelled = counter.cancelled + excluded.cancelled, suppressed = counter.suppressed + excluded.suppressed,
  uncertain = counter.uncertain + excluded.uncertain,
  builtin_at = CASE WHEN excluded.builtin_at > counter.builtin_at THEN excluded.builtin_at ELSE counter.builtin_at END`

	rollupColumns = 15
	rollupHead    = `INSERT INTO rollup (operator_id, hour, kind, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain,
  builtin_accepted, builtin_ended, builtin_bounced, builtin_complaints)`
	rollupTail = ` ON CONFLICT (operator_id, hour, kind, node) DO UPDATE SET
  accepted = rollup.accepted + excluded.accepted, delivered = rollup.delivered + excluded.delivered,
  bounced = rollup.bounced + excluded.bounced, expired = rollup.expired + excluded.expired,
  cancelled = rollup.cancelled + excluded.cancelled, suppressed = rollup.suppressed + excluded.suppressed,
  uncertain = rollup.uncertain + excluded.uncertain, builtin_accepted = rollup.builtin_accepted + excluded.builtin_accepted,
  builtin_ended = rollup.builtin_ended + excluded.builtin_ended, builtin_bounced = rollup.builtin_bounced + excluded.builtin_bounced,
  builtin_complaints = rollup.builtin_complaints + excluded.builtin_complaints`
)
