package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// choreFor bounds how long one sort of chore keeps the others waiting.
const choreFor = time.Second

// chores goes on with replays, takes away what is left for webhooks that are disabled, and
// tells operators what they have to know. Several nodes may do so.
func (h *Webhooks) chores(ctx context.Context) {
	for _, chore := range []struct {
		what string
		run  func(context.Context, time.Time) (bool, error)
	}{
		{"replay events for webhooks", h.o.Store.ReplayWebhooks},
		{"tidy up after webhooks", h.o.Store.SweepWebhooks},
		{"tell operators about webhooks", h.notify},
	} {
		for began := time.Now(); time.Since(began) < choreFor; {
			more, err := chore.run(ctx, time.Now())
			if err != nil && ctx.Err() == nil {
				h.o.Log.Error("chore of webhooks failed", "chore", chore.what, "error", err)
			}
			if err != nil || !more {
				break
			}
		}
	}
}

// notify sends what is still to be told. What was told twice, because we ended in between,
// is one notice by its idempotency key.
func (h *Webhooks) notify(ctx context.Context, _ time.Time) (more bool, err error) {
	if h.o.Notify == nil {
		return false, nil
	}
	list, err := h.o.Store.WebhookNotices(ctx, 100)
	if err != nil {
		return false, err
	}
	var failed []error // of one operator, which must not keep others from being told
	for n, webhooks := range list {
		for _, w := range webhooks {
			err := h.o.Notify(ctx, w, n)
			if err == nil {
				err = h.o.Store.WebhookNoticeSent(ctx, w.ID, n)
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("webhook %s: %w", w.ID, err))
			}
		}
	}
	return false, errors.Join(failed...)
}
