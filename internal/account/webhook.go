package account

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// URLs says which URLs webhooks may have; *guard.Web does.
type URLs interface {
	// CheckURL returns the URL, or says for people why it may not be called.
	CheckURL(text string) (*url.URL, error)
}

// NewWebhook is an endpoint to register.
type NewWebhook struct {
	URL         string
	Description string                // for people, at most 200 characters
	Types       []waypost.WebhookType // empty: everything
	MaxEvents   int                   // events in one call, 0 means 1; over 1, every call is a batch
}

// secretSize is the length of a webhook's secret in bytes: divisible by three, so that its
// base64 has no padding that somebody could lose.
const secretSize = 24

// secretPrefix begins a secret as it is shown (Standard Webhooks).
const secretPrefix = "whsec_"

// newWebhookSecret makes a secret: as it is shown, and sealed.
func (s *Service) newWebhookSecret(id string) (shown secret.Text, sealed []byte) {
	raw := make([]byte, secretSize)
	_, _ = rand.Read(raw) // never fails
	return secret.NewText(secretPrefix + base64.StdEncoding.EncodeToString(raw)), s.o.Ring.Seal(waypost.WebhookSecretContext(id), raw)
}

// CreateWebhook registers an endpoint and returns it with its secret, which is shown this
// once. Errors are Problems with the fields url, description, types and max_events, and
// Conflict if there are too many.
func (s *Service) CreateWebhook(ctx context.Context, by waypost.Actor, operatorID string, n NewWebhook) (waypost.Webhook, secret.Text, error) {
	var p Problems
	if n.MaxEvents == 0 {
		n.MaxEvents = 1
	}
	c := store.WebhookChange{URL: &n.URL, Description: &n.Description, Types: &n.Types, MaxEvents: &n.MaxEvents}
	s.checkWebhook(&p, &c)
	if err := p.err(); err != nil {
		return waypost.Webhook{}, secret.Text{}, err
	}
	w := waypost.Webhook{
		ID: waypost.NewID(), OperatorID: operatorID, URL: *c.URL, Description: *c.Description, Types: *c.Types, MaxEvents: *c.MaxEvents,
		Enabled: true, Created: time.Now().UTC().Truncate(time.Millisecond),
	}
	shown, sealed := s.newWebhookSecret(w.ID)
	if err := s.o.Store.AddWebhook(ctx, by, operatorID, store.StoredWebhook{Webhook: w, Sealed: sealed}, waypost.MaxWebhooks); err != nil {
		return waypost.Webhook{}, secret.Text{}, err
	}
	return w, shown, nil
}

// checkWebhook checks what is set and writes it as it is kept.
func (s *Service) checkWebhook(p *Problems, c *store.WebhookChange) {
	if c.URL != nil {
		text := strings.TrimSpace(*c.URL)
		switch u, err := s.o.URLs.CheckURL(text); {
		case err != nil:
			p.add("url", err.Error())
		default:
			text = u.String()
		}
		c.URL = &text
	}
	if c.Description != nil {
		text := strings.TrimSpace(*c.Description)
		if why := badName(text); why != "" {
			p.add("description", why)
		}
		c.Description = &text
	}
	if c.Types != nil {
		types := slices.Clone(*c.Types)
		slices.Sort(types)
		types = slices.Compact(types)
		for _, t := range types {
			if _, ok := waypost.ParseWebhookType(string(t)); !ok {
				p.add("types", fmt.Sprintf("there is no type %q", t))
			}
		}
		c.Types = &types
	}
	if c.MaxEvents != nil && (*c.MaxEvents < 1 || *c.MaxEvents > waypost.MaxWebhookEvents) {
		p.add("max_events", fmt.Sprintf("from 1 to %d", waypost.MaxWebhookEvents))
	}
}

// Webhooks lists an operator's webhooks, oldest first.
func (s *Service) Webhooks(ctx context.Context, operatorID string) ([]waypost.Webhook, error) {
	return s.o.Store.Webhooks(ctx, operatorID)
}

// Webhook reads one. The error is NotFound.
func (s *Service) Webhook(ctx context.Context, operatorID, id string) (waypost.Webhook, error) {
	w, err := s.o.Store.Webhook(ctx, operatorID, id)
	return w.Webhook, err
}

// ChangeWebhook changes what is set, and returns the webhook as it is then. With another
// URL, what was found out about the endpoint is forgotten. Errors are NotFound, and Problems
// with the fields of NewWebhook.
func (s *Service) ChangeWebhook(ctx context.Context, by waypost.Actor, operatorID, id string, c store.WebhookChange) (waypost.Webhook, error) {
	var p Problems
	s.checkWebhook(&p, &c)
	if err := p.err(); err != nil {
		return waypost.Webhook{}, err
	}
	return s.o.Store.ChangeWebhook(ctx, by, operatorID, id, c, time.Now())
}

// RemoveWebhook removes a webhook and what waits for it. The error is NotFound.
func (s *Service) RemoveWebhook(ctx context.Context, by waypost.Actor, operatorID, id string) error {
	return s.o.Store.RemoveWebhook(ctx, by, operatorID, id)
}

// RotateWebhook gives a webhook a new secret and returns it, this once. For a day the old
// one signs too: calls carry both signatures. The error is NotFound.
func (s *Service) RotateWebhook(ctx context.Context, by waypost.Actor, operatorID, id string) (waypost.Webhook, secret.Text, error) {
	shown, sealed := s.newWebhookSecret(id)
	if err := s.o.Store.RotateWebhook(ctx, by, operatorID, id, sealed, time.Now().Add(waypost.WebhookRotation)); err != nil {
		return waypost.Webhook{}, secret.Text{}, err
	}
	w, err := s.Webhook(ctx, operatorID, id)
	return w, shown, err
}

// EnableWebhook enables a webhook, or has one that is failing called again at once. What
// happened while it was disabled can be replayed. The error is NotFound.
func (s *Service) EnableWebhook(ctx context.Context, by waypost.Actor, operatorID, id string) (waypost.Webhook, error) {
	return s.o.Store.EnableWebhook(ctx, by, operatorID, id, time.Now())
}

// DisableWebhook disables a webhook; what waits for it is cancelled. The error is NotFound.
func (s *Service) DisableWebhook(ctx context.Context, by waypost.Actor, operatorID, id string) (waypost.Webhook, error) {
	return s.o.Store.DisableWebhook(ctx, by, operatorID, id, time.Now())
}

// WebhookCalls lists calls, newest first; next is the cursor of the rest, "" at the end.
func (s *Service) WebhookCalls(ctx context.Context, operatorID, id string, f store.WebhookCallFilter, cursor string, limit int) (
	list []waypost.WebhookCall, next string, err error,
) {
	if _, err := s.o.Store.Webhook(ctx, operatorID, id); err != nil {
		return nil, "", err
	}
	return s.o.Store.WebhookCalls(ctx, operatorID, id, f, cursor, limit)
}

// WebhookCall reads one call with what was sent and all its attempts. The error is NotFound.
func (s *Service) WebhookCall(ctx context.Context, operatorID, id, callID string) (waypost.WebhookCall, []waypost.WebhookAttempt, error) {
	return s.o.Store.WebhookCall(ctx, operatorID, id, callID)
}

// ResendWebhookCall has a call made again: the same bytes under the same id. The errors are
// NotFound, and Conflict while the webhook is disabled.
func (s *Service) ResendWebhookCall(ctx context.Context, by waypost.Actor, operatorID, id, callID string) error {
	return s.o.Store.ResendWebhookCall(ctx, by, operatorID, id, callID, time.Now())
}

// maxReplay is the longest period that can be told again at once.
const maxReplay = 31 * 24 * time.Hour

// ReplayWebhook has an endpoint told again what happened to mail from a time up to another;
// a zero to means now. Errors are NotFound, Problems with the fields from and to, and
// Conflict while the webhook is disabled or another replay is under way.
func (s *Service) ReplayWebhook(ctx context.Context, by waypost.Actor, operatorID, id string, from, to time.Time) (waypost.WebhookReplay, error) {
	var p Problems
	now := time.Now()
	if to.IsZero() || to.After(now) {
		to = now
	}
	switch {
	case from.IsZero():
		p.add("from", "give a time")
	case !from.Before(to):
		p.add("from", "this is not before the end")
	case to.Sub(from) > maxReplay:
		p.add("from", "at most 31 days at once")
	}
	if err := p.err(); err != nil {
		return waypost.WebhookReplay{}, err
	}
	return s.o.Store.ReplayWebhook(ctx, by, operatorID, id, from.UTC().Truncate(time.Millisecond), to.UTC().Truncate(time.Millisecond), now)
}

// WebhookReplays lists the last replays of a webhook, newest first.
func (s *Service) WebhookReplays(ctx context.Context, operatorID, id string) ([]waypost.WebhookReplay, error) {
	if _, err := s.o.Store.Webhook(ctx, operatorID, id); err != nil {
		return nil, err
	}
	return s.o.Store.WebhookReplays(ctx, operatorID, id)
}

// WebhookBacklog counts the events an endpoint is still to be told, up to 10,001.
func (s *Service) WebhookBacklog(ctx context.Context, operatorID, id string) (int64, error) {
	return s.o.Store.WebhookBacklog(ctx, operatorID, id)
}
