package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// StoredWebhook is a webhook with its secrets, sealed with the instance key. Sealed is
// empty in listings.
type StoredWebhook struct {
	waypost.Webhook
	Sealed    []byte
	OldSealed []byte // the secret before the last rotation, while it signs too; empty for none
	Lease     string // incarnation that works on it, "" for none
	Epoch     int64  // raised by what makes an earlier reading worthless
}

// TellWebhook tells this process, once the transaction is committed, that there may be
// something to do for a webhook: in the words of WebhookWord.
func TellWebhook(tx *engine.Tx, k WebhookKey) { tx.Tell(webhookWord + k.OperatorID + "/" + k.ID) }

const webhookWord = "webhook/"

// WebhookWord is the webhook that a word told after a commit names, and whether it does.
func WebhookWord(word string) (WebhookKey, bool) {
	rest, ok := strings.CutPrefix(word, webhookWord)
	operatorID, id, ok2 := strings.Cut(rest, "/")
	return WebhookKey{OperatorID: operatorID, ID: id}, ok && ok2
}

// Webhooks lists an operator's webhooks, oldest first, without secrets.
func (s *Store) Webhooks(ctx context.Context, operatorID string) ([]waypost.Webhook, error) {
	rows, err := s.queries().Webhooks(ctx, operatorID)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	list := make([]waypost.Webhook, len(rows))
	for i, row := range rows {
		w, err := WebhookOf(row)
		if err != nil {
			return nil, err
		}
		list[i] = w.Webhook
	}
	return list, nil
}

// Webhook reads one. The error is NotFound.
func (s *Store) Webhook(ctx context.Context, operatorID, id string) (StoredWebhook, error) {
	row, err := s.queries().Webhook(ctx, tenantsql.WebhookParams{OperatorID: operatorID, ID: id})
	if err != nil {
		return StoredWebhook{}, one(err, "webhook")
	}
	return WebhookOf(row)
}

// WebhookOf is a webhook as its row has it; store/system reads the same rows.
func WebhookOf(row tenantsql.Webhook) (StoredWebhook, error) {
	types, err := webhookTypes(row.Types)
	if err != nil {
		return StoredWebhook{}, fmt.Errorf("webhook %s: %w", row.ID, err)
	}
	return StoredWebhook{
		Webhook: waypost.Webhook{
			ID: row.ID, OperatorID: row.OperatorID, URL: row.Url, Description: row.Description, Types: types, MaxEvents: int(row.MaxEvents),
			Enabled: row.Enabled, DisabledAt: waypost.FromMillis(row.DisabledAt), DisabledWhy: waypost.WebhookDisabled(row.DisabledWhy),
			OldSecret: waypost.FromMillis(row.OldUntil), Created: waypost.FromMillis(row.Created),
			FailingSince: waypost.FromMillis(row.FailingSince), FailingWhy: row.FailingWhy, Failures: int(row.Failures),
			NextAt: waypost.FromMillis(row.NextAt),
		},
		Sealed: row.Secret, OldSealed: row.OldSecret, Lease: row.Lease, Epoch: row.Epoch,
	}, nil
}

func webhookTypes(text string) (types []waypost.WebhookType, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &types); err != nil {
		return nil, fmt.Errorf("types: %w", err)
	}
	return types, nil
}

func webhookTypesText(types []waypost.WebhookType) string {
	if len(types) == 0 {
		return ""
	}
	text, err := json.Marshal(types)
	if err != nil { // strings only
		panic(err)
	}
	return string(text)
}

// AddWebhook adds an enabled webhook. The error is Conflict if the operator has as many as
// it may.
func (s *Store) AddWebhook(ctx context.Context, by waypost.Actor, operatorID string, w StoredWebhook, most int) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		have, err := q.CountWebhooks(ctx, operatorID)
		if err != nil {
			return err
		}
		if have >= int64(most) {
			return tooMany("webhooks", have)
		}
		if err := q.InsertWebhook(ctx, tenantsql.InsertWebhookParams{
			ID: w.ID, OperatorID: operatorID, Url: w.URL, Description: w.Description, Types: webhookTypesText(w.Types),
			MaxEvents: int64(w.MaxEvents), Secret: w.Sealed, OldSecret: []byte{}, Created: waypost.Millis(w.Created),
		}); err != nil {
			return err
		}
		return audit(ctx, tx, by, operatorID, "webhook.create", w.Place(), "")
	})
}

// WebhookChange is what of a webhook can be changed; nil leaves it as it is.
type WebhookChange struct {
	URL         *string
	Description *string
	Types       *[]waypost.WebhookType
	MaxEvents   *int
}

// ChangeWebhook changes a webhook and returns it. With another URL it starts anew: what
// waits is sent there at once. The error is NotFound.
func (s *Store) ChangeWebhook(ctx context.Context, by waypost.Actor, operatorID, id string, c WebhookChange, now time.Time) (waypost.Webhook, error) {
	var changed waypost.Webhook
	err := s.webhookChange(ctx, operatorID, id, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries, w *StoredWebhook) error {
		was := w.Webhook
		set(&w.URL, c.URL)
		set(&w.Description, c.Description)
		set(&w.Types, c.Types)
		set(&w.MaxEvents, c.MaxEvents)
		moved := waypost.Detail("")
		if was.URL != w.URL {
			moved = waypost.NewDetail(waypost.DetailChanged, "field", "url", "is", w.Place(), "was", was.Place())
		}
		detail := waypost.Details(
			moved, waypost.ChangeDetail("description", was.Description, w.Description),
			waypost.ChangeDetail("events", typesDetail(was.Types), typesDetail(w.Types)), waypost.ChangeDetail("max_events", was.MaxEvents, w.MaxEvents))
		changed = w.Webhook
		if detail == "" {
			return nil
		}
		if err := q.ChangeWebhook(ctx, tenantsql.ChangeWebhookParams{
			OperatorID: operatorID, ID: id, Url: w.URL, Description: w.Description, Types: webhookTypesText(w.Types), MaxEvents: int64(w.MaxEvents),
		}); err != nil {
			return err
		}
		if was.URL != w.URL {
			if err := freshen(ctx, tx, q, &changed, now); err != nil {
				return err
			}
		}
		return audit(ctx, tx, by, operatorID, "webhook.change", w.Place(), detail)
	})
	if err != nil {
		return waypost.Webhook{}, fmt.Errorf("change webhook: %w", err)
	}
	return changed, nil
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func typesDetail(types []waypost.WebhookType) string {
	if len(types) == 0 {
		return "*"
	}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, " ")
}

// freshen forgets what was found out about an endpoint; what waits for it is due.
func freshen(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries, w *waypost.Webhook, now time.Time) error {
	w.FailingSince, w.FailingWhy, w.Failures, w.NextAt = time.Time{}, "", 0, time.Time{}
	if err := q.FreshenWebhook(ctx, tenantsql.FreshenWebhookParams{OperatorID: w.OperatorID, ID: w.ID}); err != nil {
		return err
	}
	TellWebhook(tx, WebhookKey{w.OperatorID, w.ID})
	return q.HurryWebhookCalls(ctx, tenantsql.HurryWebhookCallsParams{OperatorID: w.OperatorID, WebhookID: w.ID, NextAt: waypost.Millis(now)})
}

// webhookChange runs a change of one webhook. The error is NotFound.
func (s *Store) webhookChange(
	ctx context.Context, operatorID, id string, call func(context.Context, *engine.Tx, *tenantsql.Queries, *StoredWebhook) error,
) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		row, err := q.Webhook(ctx, tenantsql.WebhookParams{OperatorID: operatorID, ID: id})
		if err != nil {
			return one(err, "webhook")
		}
		w, err := WebhookOf(row)
		if err != nil {
			return err
		}
		return call(ctx, tx, q, &w)
	})
}

// RotateWebhook gives a webhook a new secret; the one before signs too until a time. The
// error is NotFound.
func (s *Store) RotateWebhook(ctx context.Context, by waypost.Actor, operatorID, id string, sealed []byte, until time.Time) error {
	return s.webhookChange(ctx, operatorID, id, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries, w *StoredWebhook) error {
		tx.Forget() // the secret before the one before
		if _, err := q.RotateWebhook(ctx, tenantsql.RotateWebhookParams{
			OperatorID: operatorID, ID: id, Secret: sealed, OldUntil: waypost.Millis(until),
		}); err != nil {
			return err
		}
		return audit(ctx, tx, by, operatorID, "webhook.rotate", w.Place(), "")
	})
}

// EnableWebhook enables a webhook and forgets that its endpoint was failing; it is no error
// if it is enabled. The error is NotFound.
func (s *Store) EnableWebhook(ctx context.Context, by waypost.Actor, operatorID, id string, now time.Time) (waypost.Webhook, error) {
	var out waypost.Webhook
	err := s.webhookChange(ctx, operatorID, id, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries, w *StoredWebhook) error {
		if !w.Enabled {
			w.Enabled, w.DisabledAt, w.DisabledWhy = true, time.Time{}, ""
			if err := q.EnableWebhook(ctx, tenantsql.EnableWebhookParams{OperatorID: operatorID, ID: id}); err != nil {
				return err
			}
			if err := audit(ctx, tx, by, operatorID, "webhook.enable", w.Place(), ""); err != nil {
				return err
			}
		}
		err := freshen(ctx, tx, q, &w.Webhook, now)
		out = w.Webhook
		return err
	})
	return out, err
}

// DisableWebhook disables a webhook: nothing is written for it any more, and what waits is
// cancelled. It is no error if it is disabled. The error is NotFound.
func (s *Store) DisableWebhook(ctx context.Context, by waypost.Actor, operatorID, id string, now time.Time) (waypost.Webhook, error) {
	var out waypost.Webhook
	err := s.webhookChange(ctx, operatorID, id, func(ctx context.Context, tx *engine.Tx, _ *tenantsql.Queries, w *StoredWebhook) error {
		if w.Enabled {
			if err := WriteWebhookDisabled(ctx, tx, by, w.Webhook, waypost.DisabledByPerson, now); err != nil {
				return err
			}
			w.Enabled, w.DisabledAt, w.DisabledWhy = false, waypost.FromMillis(waypost.Millis(now)), waypost.DisabledByPerson
		}
		out = w.Webhook
		return nil
	})
	return out, err
}

// WriteWebhookDisabled disables a webhook in a transaction, with its entry in the audit log.
func WriteWebhookDisabled(ctx context.Context, tx *engine.Tx, by waypost.Actor, w waypost.Webhook, why waypost.WebhookDisabled, now time.Time) error {
	if err := tenantsql.New(tx).DisableWebhook(ctx, tenantsql.DisableWebhookParams{
		OperatorID: w.OperatorID, ID: w.ID, DisabledAt: waypost.Millis(now), DisabledWhy: string(why),
	}); err != nil {
		return err
	}
	TellWebhook(tx, WebhookKey{w.OperatorID, w.ID})
	details := map[waypost.WebhookDisabled]waypost.Detail{
		waypost.DisabledAsGone:    waypost.NewDetail(waypost.DetailWebhookGone),
		waypost.DisabledAsFailing: waypost.NewDetail(waypost.DetailWebhookFailing),
	}
	return audit(ctx, tx, by, w.OperatorID, "webhook.disable", w.Place(), details[why])
}

// RemoveWebhook removes a webhook with its secret. What waits for it is removed bit by bit,
// its log when its time has come. The error is NotFound.
func (s *Store) RemoveWebhook(ctx context.Context, by waypost.Actor, operatorID, id string) error {
	return s.webhookChange(ctx, operatorID, id, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries, w *StoredWebhook) error {
		tx.Forget()
		if _, err := q.DeleteWebhook(ctx, tenantsql.DeleteWebhookParams{OperatorID: operatorID, ID: id}); err != nil {
			return err
		}
		TellWebhook(tx, WebhookKey{operatorID, id})
		return audit(ctx, tx, by, operatorID, "webhook.delete", w.Place(), "")
	})
}
