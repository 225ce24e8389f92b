package panel

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Webhooks calls an endpoint once and says what it answered; *webhook.Webhooks does.
type Webhooks interface {
	Test(ctx context.Context, by waypost.Actor, operatorID, id string) (waypost.WebhookCall, error)
}

// callsOnPage is how many calls a page of the log has.
const callsOnPage = 25

// webhookShown is what a webhook's page shows beside what is kept.
type webhookShown struct {
	input    *webhookInput // nil: what is saved
	wrong    *wrong
	test     *waypost.WebhookAttempt
	replay   [2]string // as typed
	replayed *wrong
}

func (p *panel) webhookPage(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	return p.showWebhook(q, id, webhookShown{})
}

func (p *panel) showWebhook(q *request, id string, s webhookShown) error {
	w, err := p.Accounts.Webhook(q.Context(), q.operator(), id)
	if err != nil {
		return err
	}
	v := view.Webhook{ID: w.ID, URL: w.URL, Write: q.mayWrite(), Enabled: w.Enabled, Facts: q.webhookFacts(&w)}
	v.State, v.Label = q.webhookState(&w)
	v.Alert = q.webhookAlert(&w)
	backlog, err := p.Accounts.WebhookBacklog(q.Context(), q.operator(), id)
	if err != nil {
		return err
	}
	v.Facts = append(v.Facts, view.Property{Name: q.T("webhooks.backlog"), Value: q.upTo(backlog, 10_000)})
	in := typedWebhook(&w)
	if s.input != nil {
		in = *s.input
	}
	v.Form = q.webhookFields(in, s.wrong)
	if s.test != nil {
		v.Test = q.webhookTested(s.test)
	}
	if err := q.fillReplays(&v, id, s); err != nil {
		return err
	}
	if err := q.fillCalls(&v, id); err != nil {
		return err
	}
	status := s.wrong.code()
	if s.replayed != nil {
		status = s.replayed.code()
	}
	title := q.T("webhooks.title")
	return q.showStatus(status, title, view.WebhookPage(q.frame(title), v))
}

func (q *request) webhookFacts(w *waypost.Webhook) []view.Property {
	facts := []view.Property{
		{Name: q.T("webhooks.told"), Value: q.webhookTold(w)},
		{Name: q.T("webhooks.created"), Value: q.Moment(w.Created)},
	}
	if w.OldSecret.After(q.panel.Now()) {
		facts = append(facts, view.Property{Name: q.T("webhooks.old_secret"), Value: q.Moment(w.OldSecret)})
	}
	return facts
}

// webhookAlert says what is wrong with a webhook, nil for nothing.
func (q *request) webhookAlert(w *waypost.Webhook) *view.WebhookAlert {
	switch {
	case !w.Enabled:
		return &view.WebhookAlert{
			Title: q.T("webhooks.is_disabled", "Since", q.Moment(w.DisabledAt)), Text: q.Label("webhook_disabled", string(w.DisabledWhy)), Words: w.FailingWhy,
		}
	case w.Failing():
		return &view.WebhookAlert{
			Title: q.T("webhooks.is_failing", "Since", q.Moment(w.FailingSince)),
			Text:  q.T("webhooks.failing_text", "Next", q.Moment(w.NextAt), "Until", q.Moment(w.FailingSince.Add(waypost.WebhookLife))), Words: w.FailingWhy,
		}
	}
	return nil
}

// webhookTested is what came of a test.
func (q *request) webhookTested(a *waypost.WebhookAttempt) *view.WebhookTested {
	v := &view.WebhookTested{OK: a.OK(), Text: q.attemptText(a), Answer: a.Answer}
	v.Title = q.T("webhooks.test_failed")
	if v.OK {
		v.Title = q.T("webhooks.test_ok")
	}
	return v
}

// attemptText is what became of a try, in one line.
func (q *request) attemptText(a *waypost.WebhookAttempt) string {
	took := q.Took(a.Took)
	switch {
	case a.Status > 0 && a.Error == "":
		return q.T("webhooks.answered", "Status", strconv.Itoa(a.Status), "Took", took)
	case a.Error == "":
		return q.T("webhooks.failed_after", "Took", took)
	}
	return a.Error + " (" + took + ")"
}

func (q *request) fillReplays(v *view.Webhook, id string, s webhookShown) error {
	replays, err := q.panel.Accounts.WebhookReplays(q.Context(), q.operator(), id)
	if err != nil {
		return err
	}
	for _, r := range replays {
		row := view.WebhookReplayRow{From: q.Moment(r.From), To: q.Moment(r.To), Events: q.N("webhooks.events", int64(r.Events)), State: "queued", Label: q.T("webhooks.replaying")}
		if !r.Finished.IsZero() {
			row.State, row.Label = "ok", q.T("webhooks.replayed")
		}
		v.Replays = append(v.Replays, row)
	}
	field := func(name, value string) view.Field {
		return view.Field{Name: name, Label: q.T("webhooks.replay_" + name), Value: value, Type: "datetime-local", Error: s.replayed.text(name), Max: 40}
	}
	v.From, v.To = field("from", s.replay[0]), field("to", s.replay[1])
	v.From.Required = true
	v.From.Hint = q.T("webhooks.replay_zone", "Zone", q.Zone.String())
	return nil
}

func (q *request) fillCalls(v *view.Webhook, id string) error {
	f := store.WebhookCallFilter{State: waypost.WebhookState(q.URL.Query().Get("state"))}
	if !slices.Contains(waypost.WebhookStates(), f.State) {
		f.State = ""
	}
	cursor := storable(q.URL.Query().Get("cursor"), 100)
	calls, next, err := q.panel.Accounts.WebhookCalls(q.Context(), q.operator(), id, f, cursor, callsOnPage)
	if err != nil {
		return err
	}
	v.Filter = view.Field{Name: "state", Label: q.T("webhooks.call_state"), Value: string(f.State), Options: []view.Option{{Label: q.T("messages.any")}}}
	for _, s := range waypost.WebhookStates() {
		v.Filter.Options = append(v.Filter.Options, view.Option{Value: string(s), Label: q.Label("webhook_call_state", string(s))})
	}
	v.Filtered = f.State != ""
	v.First, v.Next = q.pages(cursor, next)
	for i := range calls {
		v.Calls = append(v.Calls, q.webhookCallRow(&calls[i]))
	}
	return nil
}

func (q *request) webhookCallRow(c *waypost.WebhookCall) view.WebhookCallRow {
	row := view.WebhookCallRow{
		Path: "/webhooks/" + c.WebhookID + "/calls/" + c.ID, At: q.Moment(c.Created), Type: string(c.Type), Replay: c.Replay,
		State: webhookCallBadge(c.State), Label: q.Label("webhook_call_state", string(c.State)), Tries: q.N("webhooks.tries", int64(c.Attempts)),
	}
	if c.Type == waypost.WebhookBatch {
		row.Events = q.N("webhooks.events", int64(c.Events))
	}
	if c.Attempts > 0 {
		row.Last = q.attemptText(&c.Last)
	}
	if c.State == waypost.WebhookWaiting && !c.NextAt.IsZero() {
		row.NextAt = q.T("webhooks.next", "At", q.Moment(c.NextAt))
	}
	return row
}

// webhookCallBadge is the color of a call's state.
func webhookCallBadge(s waypost.WebhookState) string {
	switch s {
	case waypost.WebhookDelivered:
		return "ok"
	case waypost.WebhookFailed:
		return "failing"
	case waypost.WebhookWaiting:
		return "queued"
	default:
		return ""
	}
}

func (p *panel) saveWebhook(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	in := q.typedWebhook()
	if len(q.PostForm) == 0 { // nothing was sent: nothing is changed
		return p.showWebhook(q, id, webhookShown{})
	}
	types, w := in.told(q)
	if w != nil {
		return p.showWebhook(q, id, webhookShown{input: &in, wrong: w})
	}
	most, w := in.events(q)
	if w != nil {
		return p.showWebhook(q, id, webhookShown{input: &in, wrong: w})
	}
	_, err = p.Accounts.ChangeWebhook(q.Context(), q.by(), q.operator(), id, store.WebhookChange{
		URL: &in.url, Description: &in.description, Types: &types, MaxEvents: &most,
	})
	if err != nil {
		w, err := q.wrongWebhook(err)
		if err != nil {
			return err
		}
		return p.showWebhook(q, id, webhookShown{input: &in, wrong: w})
	}
	return q.redirect("/webhooks/"+id, "webhook_saved")
}

// testWebhook calls the endpoint once and shows what it answered.
func (p *panel) testWebhook(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	tried, err := p.WebhookTests.Test(q.Context(), q.by(), q.operator(), id)
	if err != nil {
		return err
	}
	return p.showWebhook(q, id, webhookShown{test: &tried.Last})
}

func (p *panel) replayWebhook(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	s := webhookShown{replay: [2]string{q.value("from"), q.value("to")}}
	var times [2]time.Time
	for i, name := range []string{"from", "to"} {
		if s.replay[i] == "" && name == "to" {
			continue // until now
		}
		at, err := time.ParseInLocation("2006-01-02T15:04", s.replay[i], q.Zone)
		if err != nil || at.Year() < 1970 || at.Year() > 9999 {
			s.replayed = wrongField(name, q.T("webhooks.bad_time"))
			return p.showWebhook(q, id, s)
		}
		times[i] = at
	}
	_, err = p.Accounts.ReplayWebhook(q.Context(), q.by(), q.operator(), id, times[0], times[1])
	if err != nil {
		w, err := q.wrong(err, "from", "to")
		if err != nil {
			return err
		}
		for field := range w.texts {
			if text := q.maybe("webhooks.bad_" + field); text != "" {
				w.texts[field] = text
			}
		}
		if w.texts[""] != "" { // disabled, or another is under way
			w.texts["from"] = q.T("webhooks.replay_refused")
		}
		s.replayed = w
		return p.showWebhook(q, id, s)
	}
	return q.redirect("/webhooks/"+id+"#replay", "webhook_replaying")
}

func (p *panel) webhookCallPage(q *request) error {
	id, err := q.pathID("id")
	if err != nil {
		return err
	}
	call, err := q.pathID("call")
	if err != nil {
		return err
	}
	return p.showWebhookCall(q, http.StatusOK, id, call, "")
}

func (p *panel) showWebhookCall(q *request, status int, id, callID, problem string) error {
	c, attempts, err := p.Accounts.WebhookCall(q.Context(), q.operator(), id, callID)
	if err != nil {
		return err
	}
	v := view.WebhookCall{
		ID: c.ID, WebhookID: id, Write: q.mayWrite(), Problem: problem, Row: q.webhookCallRow(&c), Body: indented(c.Body), Resend: c.State != waypost.WebhookWaiting,
	}
	for i := range attempts {
		a := &attempts[i]
		v.Attempts = append(v.Attempts, view.WebhookAttempt{Number: q.Number(int64(a.Number)), At: q.Exactly(a.At), OK: a.OK(), Text: q.attemptText(a), Answer: a.Answer})
	}
	title := q.T("webhooks.call_title")
	return q.showStatus(status, title, view.WebhookCallPage(q.frame(title), v))
}

// indented is JSON for people; what is none stays as it is.
func indented(body []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, body, "", "  ") != nil {
		return string(body)
	}
	return out.String()
}
