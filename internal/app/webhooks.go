package app

import (
	"context"
	"fmt"

	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/webhook"
)

// startWebhooks makes what calls operators' endpoints. It hears of commits from here on.
func (a *App) startWebhooks(n *notices) error {
	c := a.Config
	o := guard.Options{Allow: c.GuardAllow, Own: c.SendingAddresses}
	if c.DNSResolver != "" {
		o.Resolver = a.resolver
	}
	web, err := guard.NewWeb(guard.WebOptions{Options: o})
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	a.guards = append(a.guards, web.Guards()...)
	a.later("connections to webhooks", func(context.Context) error { web.Close(); return nil })
	a.Webhooks = webhook.New(webhook.Options{
		Store: a.System, Ring: a.Ring, Web: web, Incarnation: a.Queue.Incarnation(), Alive: a.Queue.Alive, Observe: a.Metrics,
		Log: a.Log, UserAgent: "Waypost/" + a.version, Notify: n.webhook,
	})
	a.Engine.OnTold(a.Webhooks.Told)
	a.later("webhooks", share(a.Webhooks.Stop))
	return nil
}

// webhook tells an operator that an endpoint fails, or that it is disabled.
func (n *notices) webhook(ctx context.Context, w waypost.Webhook, what waypost.WebhookNotice) error {
	a, err := n.app.Directory.Get(ctx, w.OperatorID)
	if waypost.KindOf(err) == waypost.NotFound && err != nil {
		return nil // it was deleted: nobody is left to tell
	}
	if err != nil {
		return err
	}
	key := "webhook-" + string(what) + "/" + w.ID
	if what == waypost.NoticeWebhookDisabled {
		why := "it has taken nothing for three days. The last failure was:\r\n\r\n    " + w.FailingWhy
		if w.DisabledWhy == waypost.DisabledAsGone {
			why = "it answered 410 Gone, which means that nobody wants to be called there any more."
		}
		return n.submit(a, key, "A webhook was disabled: "+w.Place(), fmt.Sprintf(
			"Hello %s,\r\n\r\n"+
				"we tell your endpoint\r\n\r\n    %s\r\n\r\n"+
				"what becomes of your mail. We have disabled it, because %s\r\n\r\n"+
				"Nothing is sent to it any more. Your mail is not affected.\r\n\r\n"+
				"What to do: repair the endpoint, test it and enable the webhook again, on the page of webhooks or over the\r\n"+
				"API. What it missed can be replayed there, from %s on.\r\n",
			a.Name, w.Place(), why, w.FailingSince.UTC().Format("2006-01-02 15:04 UTC")))
	}
	return n.submit(a, key, "A webhook fails: "+w.Place(), fmt.Sprintf(
		"Hello %s,\r\n\r\n"+
			"we tell your endpoint\r\n\r\n    %s\r\n\r\n"+
			"what becomes of your mail. Since %s it has taken nothing. The last failure was:\r\n\r\n    %s\r\n\r\n"+
			"Nothing is lost yet: what it has to be told waits, and it is tried again at least once an hour. After three days\r\n"+
			"it is disabled. Your mail is not affected.\r\n",
		a.Name, w.Place(), w.FailingSince.UTC().Format("2006-01-02 15:04 UTC"), w.FailingWhy))
}
