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
		OperatorID: y.OperatorID, Address: y.Address, Reason: y.Reason, Detail: y.Detail, Created: y.At, Hits: 1, MessageID: y.MessageID, Via: waypost.ViaMail,
	}
	old, err := q.Suppression(ctx, keyOf(*n))
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

// putSuppression writes a suppression, or what is new about the one with its key. Every
// suppression comes through here.
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
		OperatorID: n.OperatorID, Address: n.Address, Reason: string(n.Reason), Kind: string(n.Kind), Detail: n.Detail, Created: waypost.Millis(n.Created),
		Expires: waypost.Millis(n.Expires), Hits: int64(n.Hits), MessageID: n.MessageID, Via: string(n.Via),
	}); err != nil {
		return err
	}
	return suppressed(ctx, tx, n)
}

// suppressed and unsuppressed tell webhooks what was done.
func suppressed(ctx context.Context, tx *engine.Tx, n waypost.Suppression) error {
	return WriteFacts(ctx, tx, suppressionFact(waypost.WebhookSuppress, n, n.Created))
}

func unsuppressed(ctx context.Context, tx *engine.Tx, n waypost.Suppression, now time.Time) error {
	return WriteFacts(ctx, tx, suppressionFact(waypost.WebhookUnsuppress, n, now))
}

func suppressionFact(t waypost.WebhookType, n waypost.Suppression, at time.Time) waypost.WebhookFact {
	return waypost.WebhookFact{
		OperatorID: n.OperatorID, Type: t, Chain: "suppression/" + n.Address, At: at,
		Data: waypost.WebhookSuppressionData{
			OperatorID: n.OperatorID, Address: n.Address, Reason: n.Reason, Kind: n.Kind, Detail: n.Detail,
			ExpiresAt: waypost.WebhookTime(n.Expires), MessageID: n.MessageID,
		},
	}
}

// dropSuppression removes a suppression. Every one that is lifted, rather than expired or
// gone with its operator, goes through here.
func dropSuppression(ctx context.Context, tx *engine.Tx, n waypost.Suppression) error {
	if err := tenantsql.New(tx).DeleteSuppression(ctx, tenantsql.DeleteSuppressionParams(keyOf(n))); err != nil {
		return err
	}
	return unsuppressed(ctx, tx, n, time.Now())
}

func keyOf(n waypost.Suppression) tenantsql.SuppressionParams {
	return tenantsql.SuppressionParams{OperatorID: n.OperatorID, Address: n.Address, Reason: string(n.Reason), Kind: string(n.Kind)}
}

func suppressionOf(row tenantsql.Suppression) waypost.Suppression {
	return waypost.Suppression{
		OperatorID: row.OperatorID, Address: row.Address, Reason: waypost.SuppressionReason(row.Reason), Kind: waypost.Kind(row.Kind), Detail: row.Detail,
		Created: waypost.FromMillis(row.Created), Expires: waypost.FromMillis(row.Expires), Hits: int(row.Hits), MessageID: row.MessageID,
		Via: waypost.SuppressionVia(row.Via),
	}
}
