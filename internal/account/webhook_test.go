package account_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func TestAWebhookIsCheckedAndItsSecretShownOnce(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductCloud)
	ctx, by := t.Context(), waypost.CommandLine()
	for _, c := range []struct {
		n    account.NewWebhook
		want string
	}{
		{account.NewWebhook{URL: "http://example.com"}, "url"},
		{account.NewWebhook{URL: "https://127.0.0.1/"}, "url"},
		{account.NewWebhook{URL: "https://example.com", MaxEvents: 101}, "max_events"},
		{account.NewWebhook{URL: "https://example.com", Types: []waypost.WebhookType{"webhook.test"}}, "types"},
		{account.NewWebhook{URL: "https://example.com", Description: strings.Repeat("x", 300)}, "description"},
	} {
		if _, _, err := w.CreateWebhook(ctx, by, op, c.n); !slices.Equal(fields(err), []string{c.want}) {
			t.Errorf("%+v: %v", c.n, err)
		}
	}
	h, shown, err := w.CreateWebhook(ctx, by, op, account.NewWebhook{
		URL: " https://example.com/hook?token=x ", Types: []waypost.WebhookType{waypost.WebhookOK, waypost.WebhookBounced, waypost.WebhookOK},
	})
	if err != nil || h.MaxEvents != 1 || !h.Enabled || len(h.Types) != 2 || h.URL != "https://example.com/hook?token=x" {
		t.Fatalf("%+v, %v", h, err)
	}
	text, ok := strings.CutPrefix(shown.Reveal(), "whsec_")
	raw, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) != 24 {
		t.Errorf("a secret of %d bytes, %v", len(raw), err)
	}
	stored, err := w.store.Webhook(ctx, op, h.ID)
	if err != nil {
		t.Fatal(err)
	}
	if open, err := w.ring.Open(waypost.WebhookSecretContext(h.ID), stored.Sealed); err != nil || string(open) != string(raw) {
		t.Errorf("the sealed secret is another one: %v", err)
	}
	rotated, second, err := w.RotateWebhook(ctx, by, op, h.ID)
	if err != nil || second.Equal(shown) || !rotated.OldSecret.After(time.Now().Add(23*time.Hour)) {
		t.Errorf("%+v, %v", rotated, err)
	}
	log, err := w.store.AuditLog(ctx, op, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range log {
		if strings.Contains(e.Target+e.Detail.String(), "token") || strings.Contains(e.Target+e.Detail.String(), text) {
			t.Errorf("the audit log tells %+v", e)
		}
	}
	for range waypost.MaxWebhooks - 1 {
		if _, _, err := w.CreateWebhook(ctx, by, op, account.NewWebhook{URL: "https://example.com"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.CreateWebhook(ctx, by, op, account.NewWebhook{URL: "https://example.com"}); waypost.KindOf(err) != waypost.Conflict {
		t.Errorf("one too many: %v", err)
	}
}

func TestAnotherURLStartsAnew(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, waypost.ProductCloud)
	ctx, by := t.Context(), waypost.CommandLine()
	h, _, err := w.CreateWebhook(ctx, by, op, account.NewWebhook{URL: "https://example.com/?a"})
	if err != nil {
		t.Fatal(err)
	}
	before, err := w.store.Webhook(ctx, op, h.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change store.WebhookChange
		anew   bool
	}{
		{store.WebhookChange{Description: new("x")}, false},
		{store.WebhookChange{URL: new("https://example.com/?b")}, true},
		{store.WebhookChange{URL: new("https://example.com/?b")}, false},
	} {
		if _, err := w.ChangeWebhook(ctx, by, op, h.ID, c.change); err != nil {
			t.Fatal(err)
		}
		after, err := w.store.Webhook(ctx, op, h.ID)
		if err != nil || (after.Epoch != before.Epoch) != c.anew {
			t.Errorf("%+v: %v, %v", c.change, after.Epoch != before.Epoch, err)
		}
		before = after
	}
	if _, err := w.ReplayWebhook(ctx, by, op, h.ID, time.Now().Add(-40*24*time.Hour), time.Time{}); !slices.Equal(fields(err), []string{"from"}) {
		t.Errorf("too long a replay: %v", err)
	}
}
