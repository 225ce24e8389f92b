package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// WriteSymptoms suppresses addresses as the owner's policy says, in the transaction of the
// facts that speak against them. Exempt addresses are left alone. Whoever suppresses the first address
// of an operator tells all processes: whether there are any is what they keep in memory.
func WriteSymptoms(ctx context.Context, tx *engine.Tx, symptoms ...waypost.Symptom) error {
	if len(symptoms) == 0 {
		return nil
	}
	settings, err := ReadPlatformSettings(ctx, tx)
	if err != nil {
		return err
	}
	policy, q := settings.Suppression, tenantsql.New(tx)
	for _, y := range symptoms {
		y.Address = NormalizeAddress(y.Address)
		exempt, err := q.IsExempt(ctx, tenantsql.IsExemptParams{OperatorID: y.OperatorID, Address: y.Address})
		if err != nil {
			return err
		}
		if exempt {
			continue
		}
		n, err := suppressionBy(ctx, q, policy, y)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		if err := putSuppression(ctx, tx, *n); err != nil {
			return err
		}
	}
	return nil
}

// suppressionBy returns the suppression that a symptom leads to; nil for none yet.
func suppressionBy(ctx context.Context, q *tenantsql.Queries, policy waypost.SuppressionPolicy, y waypost.Symptom) (*waypost.Suppression, error) {
	n := &waypost.Suppression{
		OperatorID: y.OperatorID, Address: y.Address, Reason: y.Reason, Detail: y.Detail, Created: y.At, Hits: 1, MessageID: y.MessageID,
	}
	old, err := q.Suppression(ctx, tenantsql.SuppressionParams{OperatorID: y.OperatorID, Address: y.Address, Reason: string(y.Reason)})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if err == nil {
		if old.Expires == 0 || old.Expires > waypost.Millis(y.At) {
			return nil, nil //nolint:nilnil // in force already: mail that was under way says nothing new
		}
		n.Hits = int(old.Hits) + 1
	}
	switch y.Reason {
	case waypost.SuppressedHard:
		n.Expires = y.At.Add(doubled(policy.Hard, n.Hits-1, policy.HardMost))
	case waypost.SuppressedComplaint:
		n.Expires = y.At.Add(policy.Complaint)
	case waypost.SuppressedSoft:
		enough, err := countSoft(ctx, q, policy, y)
		if err != nil || !enough {
			return nil, err
		}
		n.Expires = y.At.Add(policy.Soft)
	default:
		return nil, nil //nolint:nilnil // only people do that
	}
	return n, nil
}

// doubled doubles a time so often, up to the most.
func doubled(d time.Duration, times int, most time.Duration) time.Duration {
	for ; times > 0 && d < most; times-- {
		d *= 2
	}
	return min(d, most)
}

// countSoft counts a soft bounce and reports whether there were enough of them.
func countSoft(ctx context.Context, q *tenantsql.Queries, policy waypost.SuppressionPolicy, y waypost.Symptom) (bool, error) {
	key := tenantsql.SoftBounceParams{OperatorID: y.OperatorID, Address: y.Address}
	row, err := q.SoftBounce(ctx, key)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if err != nil || y.At.Sub(waypost.FromMillis(row.Since)) > policy.SoftWithin {
		row = tenantsql.SoftBounce{Since: waypost.Millis(y.At)}
	}
	if row.Count++; int(row.Count) >= policy.SoftCount {
		return true, q.DeleteSoftBounce(ctx, tenantsql.DeleteSoftBounceParams(key))
	}
	return false, q.PutSoftBounce(ctx, tenantsql.PutSoftBounceParams{OperatorID: y.OperatorID, Address: y.Address, Count: row.Count, Since: row.Since})
}

func putSuppression(ctx context.Context, tx *engine.Tx, n waypost.Suppression) error {
	q := tenantsql.New(tx)
	has, err := q.HasSuppressions(ctx, n.OperatorID)
	if err != nil {
		return err
	}
	if !has {
		if err := BumpChange(ctx, tx); err != nil {
			return err
		}
	}
	if err := q.PutSuppression(ctx, tenantsql.PutSuppressionParams{
		OperatorID: n.OperatorID, Address: n.Address, Reason: string(n.Reason), Detail: n.Detail, Created: waypost.Millis(n.Created),
		Expires: waypost.Millis(n.Expires), Hits: int64(n.Hits), MessageID: n.MessageID,
	}); err != nil {
		return err
	}
	return suppressed(ctx, tx, n)
}
