package panel

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// timeline has all that happened to a message.
type timeline struct {
	message  *oneMessage
	attempts map[string][]waypost.Attempt // by delivery
	events   map[string][]waypost.Event   // by delivery, "" for those of the message
	feedback []waypost.Feedback
	people   map[string]string // names by actor, looked up so far
}

func (q *request) newTimeline(m *oneMessage, attempts []waypost.Attempt, events []waypost.Event, feedback []waypost.Feedback) *timeline {
	t := &timeline{message: m, feedback: feedback, attempts: map[string][]waypost.Attempt{}, events: map[string][]waypost.Event{}, people: map[string]string{}}
	for _, a := range attempts {
		t.attempts[a.DeliveryID] = append(t.attempts[a.DeliveryID], a)
	}
	for _, e := range events {
		t.events[e.DeliveryID] = append(t.events[e.DeliveryID], e)
	}
	return t
}

// showDelivery is what became of a recipient.
func (q *request) showDelivery(t *timeline, d *waypost.Delivery) view.Delivery {
	v := view.Delivery{
		To: d.Recipient, State: view.State{State: string(d.State), Label: q.Label("state", string(d.State))},
		Open: len(t.message.deliveries) == 1, Steps: q.deliverySteps(t, d),
	}
	if d.State == waypost.Queued {
		v.Held, v.Expires = d.Held, q.Exactly(d.Expires)
		q.explainWait(&v, d)
	}
	if q.mayWrite() {
		v.Action = t.message.path() + "/deliveries/" + d.ID
		v.Actions = q.actions(t.message, d)
	}
	return v
}

// explainWait says why a delivery is not being tried now.
func (q *request) explainWait(v *view.Delivery, d *waypost.Delivery) {
	w := q.panel.Queue.Waits(q.account, d)
	v.Waiting, v.Short, v.Words = w.Text, q.shortWait(w), w.Words
	key := string(w.Reason)
	if w.Reason == waypost.WaitControl {
		key, v.Words = key+"_"+w.Words, ""
	}
	if q.Label("waiting", key) != key { // not newer than the texts
		v.Waiting = q.T("waiting."+key, "When", q.Exactly(w.Until), "Who", cmp.Or(w.Who, strings.TrimPrefix(d.Site, waypost.TestSite)))
	}
	if w.Reason == waypost.WaitSlowed {
		v.Waiting = q.explainSlowed(w)
	}
	switch w.Reason {
	case waypost.WaitWithdrawn, waypost.WaitNoGateway, waypost.WaitNoServer, waypost.WaitRelayFailing:
		v.Fix = "/settings/email"
	default:
	}
}

// explainSlowed says who asked for less mail.
func (q *request) explainSlowed(w waypost.Wait) string {
	switch {
	case w.Who == "":
		return q.T("waiting.slowed_platform", "When", q.Exactly(w.Until))
	case w.Shared > 0:
		return q.N("waiting.slowed_shared", int64(w.Shared), "When", q.Exactly(w.Until), "Who", w.Who)
	}
	return q.T("waiting.slowed", "When", q.Exactly(w.Until), "Who", w.Who)
}

// actions are what may be asked for a delivery as it is; the store decides again.
func (q *request) actions(m *oneMessage, d *waypost.Delivery) []view.Action {
	var list []view.Action
	add := func(a store.ControlAction, class, ask string) {
		list = append(list, view.Action{Name: string(a), Label: q.Label("delivery_action", string(a)), Class: class, Ask: ask})
	}
	again := m.Kind != waypost.KindTest && d.Lease == "" && d.Expires.After(q.panel.Now())
	switch {
	case d.State == waypost.Queued && d.Control == waypost.ControlCancel:
	case d.State == waypost.Queued && d.Held:
		add(store.Release, "btn-primary", "")
		add(store.Cancel, "", q.T("message.ask_cancel", "To", d.Recipient))
	case d.State == waypost.Queued:
		if again {
			add(store.Retry, "btn-primary", "")
		}
		if d.Control == "" {
			add(store.Hold, "", "")
		}
		add(store.Cancel, "", q.T("message.ask_cancel", "To", d.Recipient))
	case d.State == waypost.Uncertain:
		if again && m.Erased.IsZero() {
			add(store.Retry, "", q.T("message.ask_retry", "To", d.Recipient))
		}
		add(store.Cancel, "", q.T("message.ask_give_up", "To", d.Recipient))
	}
	return list
}

// step is a step with the moment it is sorted by.
type step struct {
	view.TimelineStep

	at time.Time
}

// deliverySteps are what happened to a delivery, oldest first.
func (q *request) deliverySteps(t *timeline, d *waypost.Delivery) []view.TimelineStep {
	var list []step
	attempts := t.attempts[d.ID]
	for i := range attempts {
		list = append(list, step{q.attemptStep(&attempts[i]), attempts[i].Started})
	}
	// The same advice again and again helps nobody: only the last of a row shows it.
	for i := range list {
		if d.State == waypost.Delivered || i+1 < len(list) && list[i].Advice == list[i+1].Advice {
			list[i].Advice = ""
		}
	}
	tried := func(n int) bool {
		return slices.ContainsFunc(attempts, func(a waypost.Attempt) bool { return a.Number == n })
	}
	for _, e := range append(slices.Clone(t.events[""]), t.events[d.ID]...) {
		if e.Attempt > 0 && tried(e.Attempt) && ofAttempt(e.Type) {
			continue // the attempt says it
		}
		list = append(list, step{q.eventStep(t, e), e.At})
	}
	slices.SortStableFunc(list, func(a, b step) int { return cmp.Compare(a.at.UnixMilli(), b.at.UnixMilli()) })
	out := make([]view.TimelineStep, len(list))
	for i, s := range list {
		out[i] = s.TimelineStep
	}
	return out
}

// ofAttempt reports events that are the result of an attempt.
func ofAttempt(t waypost.EventType) bool {
	return t == waypost.EventDelivered || t == waypost.EventDeferred || t == waypost.EventBounced || t == waypost.EventUncertain
}

func (q *request) attemptStep(a *waypost.Attempt) view.TimelineStep {
	s := view.TimelineStep{
		When: q.Exactly(a.Started), Class: stepClass(a.Outcome),
		Title: q.T("message.attempt", "Number", q.Number(int64(a.Number)), "Outcome", q.Label("outcome", string(a.Outcome))), Reply: a.Reply.String(),
	}
	add := func(key, value string, mono bool) {
		if value != "" {
			s.Facts = append(s.Facts, view.Property{Name: q.T("message." + key), Value: value, Mono: mono})
		}
	}
	add("route", q.Label("message_route", string(a.Route)), false)
	host := a.Host
	if a.Address != "" {
		host = strings.TrimSpace(host + " [" + a.Address + "]")
	}
	add("server", host, true)
	if a.Outcome != waypost.OutcomeDelivered {
		add("phase", q.Label("phase", string(a.Phase)), false)
	}
	if a.Host != "" && a.Route != waypost.RouteSandbox {
		encrypted := a.TLS
		if encrypted == "" {
			encrypted = q.T("message.no_tls")
		}
		add("tls", encrypted, false)
	}
	add("took", q.Took(a.Took), false)
	s.Facts = append(s.Facts, q.evidence(a.Cause, a.Rule)...)
	if a.Outcome != waypost.OutcomeDelivered && a.Outcome != waypost.OutcomeUntried {
		s.Advice = q.attemptAdvice(a)
	}
	return s
}

// evidence is what was made of a reply, and by which rule.
func (q *request) evidence(cause, rule string) []view.Property {
	var list []view.Property
	if cause != "" {
		list = append(list, view.Property{Name: q.T("message.class"), Value: q.Label("class", string(classify.Cause(cause).Class()))})
	}
	if rule != "" {
		list = append(list, view.Property{Name: q.T("message.rule"), Value: rule, Mono: true})
	}
	return list
}

// reported is the evidence of an event that somebody's report made.
func (q *request) reported(t *timeline, e waypost.Event) []view.Property {
	sorts := map[waypost.EventType]waypost.FeedbackSort{waypost.EventBounced: waypost.FeedbackBounce, waypost.EventComplained: waypost.FeedbackComplaint}
	var list []view.Property
	for _, f := range t.feedback {
		if f.DeliveryID != e.DeliveryID || f.Sort != sorts[e.Type] || !f.At.Equal(e.At) {
			continue
		}
		list = q.evidence(f.Cause, f.Rule)
		if f.Reporter != "" {
			list = append(list, view.Property{Name: q.T("message.reporter"), Value: f.Reporter, Mono: true})
		}
	}
	return list
}

// attemptAdvice says what a failure means and what to do about it. What is about the own
// server is what the test of its settings says too; what is about others has nothing to do
// with settings.
func (q *request) attemptAdvice(a *waypost.Attempt) string {
	cause := classify.Cause(a.Cause)
	var relay *waypost.Relay
	if a.Route == waypost.RouteRelay {
		relay = q.account.Relay
	}
	settings := relay != nil && (cause.Blame() == classify.BlameUs || cause.Blame() == classify.BlameRoute)
	if text := q.Label("cause", a.Cause); !settings && a.Cause != "" && text != a.Cause {
		return text
	}
	return q.Advice(classify.Advise(classify.FailureOf(a, relay)))
}

func stepClass(o waypost.Outcome) string {
	switch o {
	case waypost.OutcomeDelivered:
		return "ok"
	case waypost.OutcomePermanent:
		return "bad"
	case waypost.OutcomeTemporary, waypost.OutcomeUncertain, waypost.OutcomeRouteDown:
		return "wait"
	case waypost.OutcomeUntried:
	}
	return ""
}

func (q *request) eventStep(t *timeline, e waypost.Event) view.TimelineStep {
	s := view.TimelineStep{When: q.Exactly(e.At), Title: q.Label("message_event", string(e.Type)), By: q.actor(t, e.Actor)}
	switch e.Type {
	case waypost.EventAccepted, waypost.EventDelivered:
		s.Class = "ok"
	case waypost.EventBounced, waypost.EventExpired, waypost.EventComplained:
		s.Class, s.Reply = "bad", e.Detail // the other side's words
	case waypost.EventSuppress:
		reason, detail, _ := strings.Cut(e.Detail, ": ")
		s.Class, s.Title, s.Reply = "bad", s.Title+": "+q.Label("suppression_reason", reason), detail
	case waypost.EventUncertain, waypost.EventDeferred:
		s.Class, s.Reply = "wait", e.Detail
	case waypost.EventHeld:
		s.Class = "wait"
		if e.Actor == "policy" {
			s.Reply = e.Detail
		}
	default:
	}
	s.Facts = q.reported(t, e)
	if e.Type == waypost.EventBounced && e.From == waypost.Delivered {
		s.Title = q.T("message.late_bounce")
	}
	return s
}

// actor is who did something, as the reader knows them; "" for what happens by itself.
func (q *request) actor(t *timeline, actor string) string {
	kind, id, _ := strings.Cut(actor, ":")
	switch kind {
	case "", "policy", "node":
		return ""
	case "user":
		if name, known := t.people[actor]; known {
			return name
		}
		name := q.personName(id)
		t.people[actor] = name
		return name
	}
	return q.Label("message_source", kind)
}

// personName is the name of a user of the operator; the platform's staff has none.
func (q *request) personName(id string) string {
	u, err := q.panel.Users.User(q.Context(), q.operator(), id)
	switch {
	case err != nil && q.session.User.ID == id:
		u = q.session.User
	case err != nil:
		return q.T("message.somebody")
	}
	return cmp.Or(u.Name, u.Login)
}
