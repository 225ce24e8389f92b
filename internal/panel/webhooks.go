package panel

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) webhooksRoutes() []page {
	return []page{
		{"GET /webhooks", tenantRead, p.webhooksPage},
		{"GET /webhooks/new", tenantWrite, p.webhookForm},
		{"POST /webhooks/new", tenantWrite, p.createWebhook},
		{"GET /webhooks/{id}", tenantRead, p.webhookPage},
		{"POST /webhooks/{id}", tenantWrite, p.saveWebhook},
		{"POST /webhooks/{id}/test", tenantWrite, p.testWebhook},
		{"POST /webhooks/{id}/enable", tenantWrite, p.enableWebhook},
		{"POST /webhooks/{id}/disable", tenantWrite, p.disableWebhook},
		{"POST /webhooks/{id}/rotate", tenantWrite, p.rotateWebhook},
		{"POST /webhooks/{id}/replay", tenantWrite, p.replayWebhook},
		{"POST /webhooks/{id}/remove", tenantWrite, p.removeWebhook},
		{"GET /webhooks/{id}/calls/{call}", tenantRead, p.webhookCallPage},
		{"POST /webhooks/{id}/calls/{call}/resend", tenantWrite, p.resendWebhookCall},
	}
}

func (p *panel) webhooksPage(q *request) error {
	list, err := p.Accounts.Webhooks(q.Context(), q.operator())
	if err != nil {
		return err
	}
	v := view.Webhooks{Write: q.mayWrite(), Full: len(list) >= waypost.MaxWebhooks}
	for _, w := range list {
		row := view.WebhookRow{ID: w.ID, URL: w.URL, Description: w.Description, Told: q.webhookTold(&w)}
		row.State, row.Label = q.webhookState(&w)
		if w.Failing() && w.Enabled {
			row.Why = w.FailingWhy
		}
		v.Rows = append(v.Rows, row)
	}
	return q.show(q.T("nav.webhooks"), view.WebhooksPage(q.frame(""), v))
}

// webhookTold is what a webhook is told, in a few words.
func (q *request) webhookTold(w *waypost.Webhook) string {
	if len(w.Types) == 0 {
		return q.T("webhooks.all_events")
	}
	return q.N("webhooks.some_events", int64(len(w.Types)))
}

// webhookState is how a webhook is, for a badge.
func (q *request) webhookState(w *waypost.Webhook) (state, label string) {
	switch {
	case !w.Enabled:
		return "", q.Label("webhook_state", "disabled")
	case w.Failing():
		return "failing", q.Label("webhook_state", "failing")
	}
	return "ok", q.Label("webhook_state", "working")
}

// webhookInput is a webhook as typed.
type webhookInput struct {
	url, description, most string
	all                    bool
	types                  []string
}

func typedWebhook(w *waypost.Webhook) webhookInput {
	in := webhookInput{url: w.URL, description: w.Description, most: strconv.Itoa(w.MaxEvents), all: len(w.Types) == 0}
	for _, t := range w.Types {
		in.types = append(in.types, string(t))
	}
	return in
}

func (q *request) typedWebhook() webhookInput {
	return webhookInput{
		url: q.typed("url", 3000), description: q.typed("description", 1000), most: q.value("max_events"), all: q.value("all") == "true", types: q.Form["types"],
	}
}

// told are the types that were chosen; none of them is a mistake, since none means all.
func (in *webhookInput) told(q *request) (types []waypost.WebhookType, w *wrong) {
	if in.all {
		return []waypost.WebhookType{}, nil
	}
	for _, t := range in.types {
		types = append(types, waypost.WebhookType(t))
	}
	if len(types) == 0 {
		return nil, wrongField("types", q.T("webhooks.types_missing"))
	}
	return types, nil
}

// events is the most events of a call; what is no number is wrong.
func (in *webhookInput) events(q *request) (int, *wrong) {
	n, err := strconv.Atoi(in.most)
	if err != nil || n == 0 { // which a program may leave out
		return 0, wrongField("max_events", q.T("webhooks.bad_max_events"))
	}
	return n, nil
}

func (q *request) webhookFields(in webhookInput, w *wrong) view.WebhookForm {
	f := view.WebhookForm{
		Problem: w.text(""),
		URL: view.Field{
			Name: "url", Label: q.T("webhooks.url"), Hint: q.T("webhooks.url_hint"), Value: in.url, Error: w.text("url"), Type: "url", Auto: "off", Required: true,
			Max: 2000, Mono: true,
		},
		Description: view.Field{
			Name: "description", Label: q.T("webhooks.purpose"), Hint: q.T("webhooks.purpose_hint"), Value: in.description, Error: w.text("description"), Max: 200,
		},
		All:   view.Field{Name: "all", Label: q.T("webhooks.all"), Type: "checkbox", Value: strconv.FormatBool(in.all)},
		Types: view.Field{Name: "types", Label: q.T("webhooks.types"), Error: w.text("types")},
		Most: view.Field{
			Name: "max_events", Label: q.T("webhooks.max_events"), Hint: q.T("webhooks.max_events_hint"), Value: in.most, Error: w.text("max_events"), Mode: "numeric", Max: 3,
			Required: true,
		},
	}
	for _, t := range waypost.WebhookTypes() {
		f.Types.Options = append(f.Types.Options, view.Option{
			Value: string(t), Label: string(t), Hint: q.webhookTypeLabel(t), Selected: slices.Contains(in.types, string(t)),
		})
	}
	return f
}

// webhookTypeLabel says what a type is about; its name has what keys of texts do not.
func (q *request) webhookTypeLabel(t waypost.WebhookType) string {
	return q.Label("webhook_type", strings.ReplaceAll(string(t), ".", "_"))
}

// wrongWebhook is what is wrong with what was typed, in the person's language.
func (q *request) wrongWebhook(err error) (*wrong, error) {
	w, err := q.wrong(err, "url", "description", "types", "max_events")
	if err != nil {
		return nil, err
	}
	for field := range w.texts {
		if text := q.maybe("webhooks.bad_" + field); text != "" {
			w.texts[field] = text
		}
	}
	return w, nil
}

func (p *panel) webhookForm(q *request) error {
	return q.showWebhookForm(webhookInput{all: true, most: "1"}, nil)
}

func (q *request) showWebhookForm(in webhookInput, w *wrong) error {
	title := q.T("webhooks.new")
	return q.showStatus(w.code(), title, view.WebhookFormPage(q.frame(title), q.webhookFields(in, w)))
}

// createWebhook registers an endpoint and answers with the page that shows its secret: it
// can be read nowhere else.
func (p *panel) createWebhook(q *request) error {
	in := q.typedWebhook()
	types, w := in.told(q)
	if w != nil {
		return q.showWebhookForm(in, w)
	}
	most, w := in.events(q)
	if w != nil {
		return q.showWebhookForm(in, w)
	}
	made, key, err := p.Accounts.CreateWebhook(q.Context(), q.by(), q.operator(), account.NewWebhook{
		URL: in.url, Description: in.description, Types: types, MaxEvents: most,
	})
	if err != nil {
		w, err := q.wrongWebhook(err)
		if err != nil {
			return err
		}
		return q.showWebhookForm(in, w)
	}
	title := q.T("webhooks.secret_title")
	return q.show(title, view.WebhookSecretPage(q.frame(title), view.WebhookSecret{ID: made.ID, URL: made.URL, Secret: key.Reveal()}))
}

// rotateWebhook makes another secret and shows it, this once.
func (p *panel) rotateWebhook(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	w, key, err := p.Accounts.RotateWebhook(q.Context(), q.by(), q.operator(), id)
	if err != nil {
		return err
	}
	title := q.T("webhooks.secret_title")
	return q.show(title, view.WebhookSecretPage(q.frame(title), view.WebhookSecret{ID: w.ID, URL: w.URL, Secret: key.Reveal(), OldUntil: q.Moment(w.OldSecret)}))
}

// changeWebhook is a button on a webhook's page.
func (p *panel) changeWebhook(q *request, flash string, change func(id string) error) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	if err := change(id); err != nil {
		return err
	}
	return q.redirect("/webhooks/"+id, flash)
}

func (p *panel) enableWebhook(q *request) error {
	return p.changeWebhook(q, "webhook_enabled", func(id string) error {
		_, err := p.Accounts.EnableWebhook(q.Context(), q.by(), q.operator(), id)
		return err
	})
}

func (p *panel) disableWebhook(q *request) error {
	return p.changeWebhook(q, "webhook_disabled", func(id string) error {
		_, err := p.Accounts.DisableWebhook(q.Context(), q.by(), q.operator(), id)
		return err
	})
}

func (p *panel) removeWebhook(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	if err := p.Accounts.RemoveWebhook(q.Context(), q.by(), q.operator(), id); err != nil {
		return err
	}
	return q.redirect("/webhooks", "webhook_removed")
}

func (p *panel) resendWebhookCall(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	call, err := q.pathID("call")
	if err != nil {
		return err
	}
	path := "/webhooks/" + id + "/calls/" + call
	err = p.Accounts.ResendWebhookCall(q.Context(), q.by(), q.operator(), id, call)
	if waypost.KindOf(err) == waypost.Conflict { // disabled, or being sent already
		return p.showWebhookCall(q, http.StatusConflict, id, call, q.T("webhooks.resend_refused"))
	}
	if err != nil {
		return err
	}
	return q.redirect(path, "webhook_resent")
}
