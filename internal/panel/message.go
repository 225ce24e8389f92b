package panel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// deliveriesOnPage is how many recipients of a message are shown at once.
const deliveriesOnPage = 50

// oneMessage is a message with what belongs to it.
type oneMessage struct {
	waypost.Message

	deliveries []waypost.Delivery
}

// findMessage reads the message that the path names. For the id of a batch the second
// value is where its messages are listed.
func (q *request) findMessage() (*oneMessage, string, error) {
	id, err := q.pathID("id")
	if err != nil {
		return nil, "", err
	}
	found, err := q.panel.Store.Message(q.Context(), q.operator(), id)
	if err != nil {
		return nil, "", err
	}
	if found.Messages[0].ID != id {
		return nil, "/messages?batch=" + escape(id), nil
	}
	return &oneMessage{Message: found.Messages[0], deliveries: found.Deliveries}, "", nil
}

func (m *oneMessage) path() string { return "/messages/" + m.ID }

// messageShown is what a page about a message says besides.
type messageShown struct {
	status  int
	problem string // why what was asked for did not happen
	resend  resendForm
}

func (p *panel) messagePage(q *request) error {
	m, list, err := q.findMessage()
	if err != nil {
		return err
	}
	if list != "" {
		return q.redirect(list, "")
	}
	return q.showMessage(m, messageShown{status: http.StatusOK})
}

func (q *request) showMessage(m *oneMessage, s messageShown) error {
	v := view.Message{Problem: s.problem, Test: m.Test}
	title, _ := q.subject(&m.Message)
	v.Subject = title
	size := m.Size
	if !m.Erased.IsZero() || m.Kind == waypost.KindSecurity {
		size = 0 // there is none to read
	}
	memory, err := q.remember(size, web.TakenApart)
	if err != nil {
		return err
	}
	defer memory.Release()
	header, body, err := q.panel.Store.Content(q.Context(), q.operator(), m.ID)
	switch e := waypost.AsError(err); {
	case err == nil:
		shown := q.showMail(mail{header: header, body: body, base: m.path(), id: m.ID})
		v.Mail = &shown
	case e.Code == "content_hidden" || e.Code == "content_erased":
		v.NoContent = q.T("problem." + e.Code)
		if !m.Erased.IsZero() {
			v.NoContent += " " + q.T("message.erased_at", "When", q.Moment(m.Erased))
		}
	default:
		return err
	}
	memory.Release() // the page has what it shows, and its reader may be slow
	if v.Facts, err = q.messageFacts(m, header); err != nil {
		return err
	}
	if v.Live, err = q.liveMessage(m); err != nil {
		return err
	}
	if q.mayWrite() && v.Mail != nil && m.Kind != waypost.KindTest {
		v.Resend = q.showResend(m, s.resend)
	}
	return q.showStatus(s.status, title, view.MessagePage(q.frame(""), v))
}

// messageLive answers with what became of a message, if that is other than what the page
// shows.
func (p *panel) messageLive(q *request) error {
	m, list, err := q.findMessage()
	if err != nil {
		return err
	}
	if list != "" {
		return q.redirect(list, "")
	}
	live, err := q.liveMessage(m)
	if err != nil {
		return err
	}
	if live.Path != "" && q.URL.Query().Get("seen") == live.Seen {
		q.w.WriteHeader(http.StatusNoContent) // htmx leaves the page alone: what is open stays open
		return nil
	}
	return q.fragment(view.MessageLivePart(q.frame(""), live))
}

// liveMessage is the part of the page that changes by itself.
func (q *request) liveMessage(m *oneMessage) (view.MessageLive, error) {
	attempts, err := q.panel.Store.Attempts(q.Context(), q.operator(), m.ID)
	if err != nil {
		return view.MessageLive{}, err
	}
	events, err := q.panel.Store.Events(q.Context(), q.operator(), m.ID)
	if err != nil {
		return view.MessageLive{}, err
	}
	feedback, err := q.panel.Store.Feedback(q.Context(), q.operator(), m.ID)
	if err != nil {
		return view.MessageLive{}, err
	}
	count := map[waypost.State]int{}
	for i := range m.deliveries {
		count[m.deliveries[i].State]++
	}
	after := storable(q.URL.Query().Get("after"), 100)
	v := view.MessageLive{States: q.states(count), Count: len(m.deliveries)}
	if after != "" {
		v.First = m.path() + "#recipients"
	}
	if q.mayWrite() {
		v.Action, v.Actions = m.path()+"/deliveries", q.allActions(m)
	}
	t := q.newTimeline(m, attempts, events, feedback)
	for i := range m.deliveries {
		d := &m.deliveries[i]
		if d.ID <= after {
			continue
		}
		if len(v.Deliveries) == deliveriesOnPage {
			v.Next = m.path() + "?after=" + escape(m.deliveries[i-1].ID) + "#recipients"
			break
		}
		v.Deliveries = append(v.Deliveries, q.showDelivery(t, d))
	}
	if count[waypost.Queued] > 0 {
		seen, err := json.Marshal(v)
		if err != nil {
			return view.MessageLive{}, err
		}
		sum := sha256.Sum256(seen)
		v.Seen = hex.EncodeToString(sum[:8])
		v.Path = m.path() + "/live?seen=" + v.Seen
		if after != "" {
			v.Path += "&after=" + escape(after)
		}
	}
	return v, nil
}

// messageFacts are what is known of a message.
func (q *request) messageFacts(m *oneMessage, header []byte) ([]view.Property, error) {
	var list []view.Property
	add := func(key, value string, mono bool) {
		if value != "" {
			list = append(list, view.Property{Name: q.T("message." + key), Value: value, Mono: mono})
		}
	}
	add("from", formatted(m.From), false)
	to := message.Read(header, nil).Header
	add("to", to.Text("To"), false)
	add("cc", to.Text("Cc"), false)
	add("kind", q.Label("kind", string(m.Kind)), false)
	add("lane", q.Label("message_lane", string(m.Lane)), false)
	source, err := q.messageSource(m)
	if err != nil {
		return nil, err
	}
	add("source", source, false)
	add("accepted", q.Exactly(m.Created), false)
	if !m.SendAt.IsZero() {
		add("send_at", q.Exactly(m.SendAt), false)
	}
	add("expires", q.Exactly(m.Expires), false)
	add("size", q.Size(m.Size), false)
	add("tags", strings.Join(m.Tags, ", "), false)
	names := make([]string, 0, len(m.Metadata))
	for name := range m.Metadata {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		list = append(list, view.Property{Name: name, Value: m.Metadata[name], Mono: true})
	}
	add("header_id", m.HeaderID, true)
	add("number", m.ID, true)
	if m.BatchID != "" {
		add("batch", m.BatchID, true)
		list[len(list)-1].Path = "/messages?batch=" + escape(m.BatchID)
	}
	return list, nil
}

// messageSource says how a message came in, and with which key.
func (q *request) messageSource(m *oneMessage) (string, error) {
	source := q.Label("message_source", m.Source)
	if m.Credential == "" {
		return source, nil
	}
	c, err := q.panel.Store.Credential(q.Context(), q.operator(), m.Credential)
	switch {
	case waypost.KindOf(err) == waypost.NotFound: // the platform's, which has names of its own
		return source, nil
	case err != nil:
		return "", err
	}
	return source + ", " + q.T("message.with_key", "Name", c.Name), nil
}

func formatted(a waypost.Address) string {
	if a.Name == "" {
		return a.Email
	}
	return a.Name + " <" + a.Email + ">"
}

// controlDelivery does what somebody asks for a delivery. The page tells the truth: what
// is asked for while it is being tried is not done yet.
func (p *panel) controlDelivery(q *request) error {
	m, list, err := q.findMessage()
	if err != nil {
		return err
	}
	id, err := q.pathID("delivery")
	if err != nil {
		return err
	}
	if list != "" || !slices.ContainsFunc(m.deliveries, func(d waypost.Delivery) bool { return d.ID == id }) {
		return waypost.NewError(waypost.NotFound, "not_found", "")
	}
	action, err := q.controlAction()
	if err != nil {
		return err
	}
	got, err := p.Store.Control(q.Context(), q.by(), q.operator(), id, action, time.Now())
	if waypost.KindOf(err) == waypost.Conflict {
		return q.refuseControl(id)
	}
	if err != nil {
		return err
	}
	p.Queue.Wake()
	flash := "delivery_" + string(action)
	if got.Pending {
		flash = "delivery_pending"
	}
	return q.redirect(m.path(), flash)
}

func (q *request) controlAction() (store.ControlAction, error) {
	action := store.ControlAction(q.value("action"))
	if !slices.Contains([]store.ControlAction{store.Retry, store.Cancel, store.Hold, store.Release}, action) {
		return "", waypost.NewError(waypost.NotFound, "not_found", "")
	}
	return action, nil
}

// controlMessage does what somebody asks for all deliveries of a message.
func (p *panel) controlMessage(q *request) error {
	m, list, err := q.findMessage()
	if err != nil {
		return err
	}
	action, err := q.controlAction()
	if err != nil {
		return err
	}
	if list != "" {
		return waypost.NewError(waypost.NotFound, "not_found", "")
	}
	got, err := p.Store.ControlMessage(q.Context(), q.by(), q.operator(), m.ID, action, time.Now())
	if waypost.KindOf(err) == waypost.Conflict {
		return q.refuseControl("")
	}
	if err != nil {
		return err
	}
	p.Queue.Wake()
	flash := "message_" + string(action)
	if got.Pending > 0 {
		flash = "message_pending"
	}
	return q.redirect(m.path(), flash)
}

// allActions are what may be asked for all deliveries of a message with several, with
// buttons for what fits at least two.
func (q *request) allActions(m *oneMessage) []view.Action {
	fits := map[string]int{}
	for i := range m.deliveries {
		for _, a := range q.actions(m, &m.deliveries[i]) {
			fits[a.Name]++
		}
	}
	var list []view.Action
	for _, a := range []store.ControlAction{store.Release, store.Retry, store.Hold, store.Cancel} {
		name := string(a)
		if fits[name] < 2 {
			continue
		}
		action := view.Action{Name: name, Label: q.T("message.all_"+name, "Count", q.Number(int64(fits[name])))}
		switch a {
		case store.Cancel:
			action.Ask = q.T("message.ask_cancel_all")
		case store.Retry:
			if slices.ContainsFunc(m.deliveries, func(d waypost.Delivery) bool { return d.State == waypost.Uncertain }) {
				action.Ask = q.T("message.ask_retry_all")
			}
		default:
		}
		list = append(list, action)
	}
	return list
}

// refuseControl shows the message as it is now: somebody or something was quicker.
func (q *request) refuseControl(delivery string) error {
	m, _, err := q.findMessage()
	if err != nil {
		return err
	}
	problem := q.T("message.too_late")
	for _, d := range m.deliveries {
		if d.ID == delivery {
			problem = q.T("message.too_late_state", "To", d.Recipient, "State", q.Label("state", string(d.State)))
		}
	}
	return q.showMessage(m, messageShown{status: http.StatusConflict, problem: problem})
}

// content is the content of the message that the path names.
func (q *request) content(times int64) (mail, error) {
	id, err := q.pathID("id")
	if err != nil {
		return mail{}, err
	}
	size, err := q.panel.Store.ContentSize(q.Context(), q.operator(), id)
	if err != nil {
		return mail{}, err
	}
	memory, err := q.remember(size, times)
	if err != nil {
		return mail{}, err
	}
	header, body, err := q.panel.Store.Content(q.Context(), q.operator(), id)
	if err != nil {
		memory.Release()
		return mail{}, err
	}
	return mail{header: header, body: body, base: "/messages/" + id, id: id, memory: memory}, nil
}

func (p *panel) messagePreview(q *request) error {
	return q.withMail(web.TakenApart, q.content, q.sendPreview)
}

func (p *panel) messageRaw(q *request) error { return q.withMail(web.AsItIs, q.content, q.sendRaw) }

func (p *panel) messageFile(q *request) error {
	return q.withMail(web.TakenApart, q.content, q.sendFile)
}
