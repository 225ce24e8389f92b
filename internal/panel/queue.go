package panel

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) queueRoutes() []page {
	return []page{
		{"GET /platform/queue", platformRead, p.queuePage},
		{"GET /platform/queue/deliveries", platformRead, p.deliveriesPage},
		{"POST /platform/queue/control", platformWrite, p.controlQueue},
		{"POST /platform/queue/hurry", platformWrite, p.hurry},
	}
}

const (
	destinationsShown = 50
	backlogsOnPage    = 25
	sizesShown        = 10
	queuedOnPage      = 50

	// controlTime bounds how long an answer waits for an action on much mail.
	controlTime = 4 * time.Minute
)

// queueFilter reads which mail is looked at: of an operator, to a domain. ok is false if
// there is no such operator; the field says so then.
func (p *panel) queueFilter(q *request) (f waypost.QueueFilter, operator, domain view.Field, ok bool, err error) {
	operator = view.Field{Name: "operator", Label: q.T("nav.operator"), Value: q.typed("operator", 300), Auto: "off"}
	domain = view.Field{Name: "domain", Label: q.T("queue.domain"), Value: q.typed("domain", 300), Auto: "off", Mode: "url"}
	f.Domain = siteOf(domain.Value)
	if f.OperatorID, err = p.chosenOperator(q); waypost.KindOf(err) == waypost.NotFound {
		operator.Error = q.T("operators.no_such")
		return f, operator, domain, false, nil
	}
	if err != nil {
		return f, operator, domain, false, err
	}
	if f.OperatorID != "" {
		operator.Value = p.operatorName(q, f.OperatorID)
	}
	return f, operator, domain, true, nil
}

// siteOf is the site that a domain is queued under.
func siteOf(domain string) string {
	domain = strings.ToLower(strings.TrimPrefix(domain, "@"))
	if ascii, err := dns.ToASCII(domain); err == nil {
		return ascii
	}
	return domain
}

func (p *panel) queuePage(q *request) error {
	now, err := p.queueNow(q)
	if err != nil {
		return err
	}
	if q.isFragment() {
		return q.fragment(view.QueueNowPart(q.frame(""), now))
	}
	f, operator, domain, ok, err := p.queueFilter(q)
	if err != nil {
		return err
	}
	v := view.Queue{Now: now, Operator: operator, Domain: domain, Active: operator.Value+domain.Value != ""}
	if v.Names, err = p.operatorNames(q.Context()); err != nil {
		return err
	}
	if ok {
		if err := p.backlogs(q, f, &v); err != nil {
			return err
		}
	}
	if !v.Active {
		if v.Sizes, err = p.queueSizes(q); err != nil {
			return err
		}
	}
	title := q.T("queue.title")
	return q.show(title, view.QueuePage(q.frame(title), v))
}

// queueNow is what this node is doing.
func (p *panel) queueNow(q *request) (view.QueueNow, error) {
	s := p.Queue.Snapshot(destinationsShown)
	v := view.QueueNow{Poll: "/platform/queue", Sessions: q.T(
		"queue.now_about", "Sessions", q.Number(int64(s.Sessions)), "Most", q.Number(int64(s.MostSessions)), "Deliveries", q.Number(int64(s.Deliveries)),
	)}
	var ids []string
	for _, d := range s.Destinations {
		ids = append(ids, d.OperatorID)
	}
	names, err := p.System.OperatorNames(q.Context(), ids)
	if err != nil {
		return v, err
	}
	for _, d := range s.Destinations {
		row := q.destination(d, names)
		if d.Slow != nil && q.mayWrite() {
			row.Hurry = [][2]string{{"node", s.Incarnation}, {"name", d.Slow.Name}}
		}
		v.Destinations = append(v.Destinations, row)
	}
	if s.More > 0 {
		v.More = q.N("queue.more", int64(s.More))
	}
	return v, nil
}

func (q *request) destination(d queue.Destination, names map[string]string) view.DestinationRow {
	row := view.DestinationRow{
		Name: d.Site, Kind: q.T("queue.kind_site"), OperatorID: d.OperatorID, Operator: names[d.OperatorID], State: "ok", Label: q.T("queue.open"),
		Sessions: q.T("queue.window", "Sessions", q.Number(int64(d.Sessions)), "Window", q.Number(int64(d.Window)), "Most", q.Number(int64(d.Most))),
		Waiting:  q.Number(int64(d.InMemory)), Rate: q.T("queue.per_minute", "Rate", q.Number(int64(math.Round(d.PerMinute)))), Why: d.Why,
	}
	if d.Domains > 1 {
		row.Kind += ", " + q.N("queue.hosts", int64(d.Domains-1))
	}
	switch {
	case d.Site != "":
	case d.OperatorID != "":
		row.Name, row.Kind = d.Server, q.T("queue.kind_relay")
	default:
		row.Name, row.Kind = d.Server, q.Label("queue", "kind_"+d.Server)
	}
	switch {
	case !d.Closed.IsZero():
		row.State, row.Label = "failing", q.T("queue.closed", "Until", q.Clock(d.Closed))
	case d.Slow != nil:
		row.State, row.Why = "warning", d.Slow.Words
		row.Label = q.T("queue.slow_"+string(d.Slow.How), "Until", q.Clock(d.Slow.Until), "Rate", q.Number(int64(math.Round(d.Slow.PerMinute))))
		row.Since = q.T("queue.slow_since", "Since", q.Clock(d.Slow.Since))
		if d.Slow.Times > 1 {
			row.Since += " " + q.N("queue.slow_times", int64(d.Slow.Times))
		}
	case d.Failures > 0:
		row.State, row.Label = "warning", q.N("queue.failures", int64(d.Failures))
	}
	return row
}

// backlogs fills in what waits in rows.
func (p *panel) backlogs(q *request, f waypost.QueueFilter, v *view.Queue) error {
	cursor := q.typed("cursor", 400)
	list, next, err := p.System.Backlogs(q.Context(), f, cursor, backlogsOnPage)
	if err != nil {
		return err
	}
	v.First, v.Next = q.pages(cursor, next)
	var ids []string
	for _, b := range list {
		ids = append(ids, b.OperatorID)
	}
	names, err := p.System.OperatorNames(q.Context(), ids)
	if err != nil {
		return err
	}
	now := p.Now()
	for _, b := range list {
		row := view.BacklogRow{
			OperatorID: b.OperatorID, Operator: names[b.OperatorID], Site: b.Site, Waiting: q.Number(b.Waiting), Words: b.Reason,
			Path:   "/platform/queue/deliveries?operator=" + escape(b.OperatorID) + "&domain=" + escape(b.Site),
			Oldest: q.T("queue.ago", "Time", q.Took(max(0, now.Sub(b.Oldest)))),
		}
		// What the next one of them waits for, all wait for.
		row.Wait, _ = p.waitsFor(q, waypost.Delivery{
			OperatorID: b.OperatorID, Site: b.Site, Lane: waypost.LaneTransactional, Kind: waypost.KindEvent, State: waypost.Queued, NextAt: b.Next, Attempts: attempts(b.Reason),
		})
		if b.More {
			row.Waiting += "+"
		}
		v.Backlogs = append(v.Backlogs, row)
	}
	return nil
}

// waitsFor says in a few words why a queued delivery is not being tried now.
func (p *panel) waitsFor(q *request, d waypost.Delivery) (text string, w waypost.Wait) {
	a, err := p.Directory.Get(q.Context(), d.OperatorID)
	if err != nil {
		return q.T("queue_wait.deleted"), w
	}
	w = p.Queue.Waits(a, &d)
	if reason := string(w.Reason); q.Label("queue_wait", reason) != reason {
		return q.T("queue_wait."+reason, "When", q.Moment(w.Until)), w
	}
	return w.Text, w // newer than the texts
}

// attempts is whether anything was tried, as a delivery says it.
func attempts(reason string) int {
	if reason == "" {
		return 0
	}
	return 1
}

func (p *panel) queueSizes(q *request) ([]view.QueueSizeRow, error) {
	sizes, err := p.System.QueueSizes(q.Context(), sizesShown)
	if err != nil {
		return nil, err
	}
	var rows []view.QueueSizeRow
	for _, s := range sizes {
		held, err := p.System.Held(q.Context(), s.OperatorID)
		if err != nil {
			return nil, err
		}
		rows = append(rows, view.QueueSizeRow{ID: s.OperatorID, Name: s.Name, Queued: q.Number(s.Queued), Held: q.upTo(held, heldBound)})
	}
	return rows, nil
}

func (p *panel) deliveriesPage(q *request) error {
	f, operator, domain, ok, err := p.queueFilter(q)
	if err != nil {
		return err
	}
	f.State = waypost.QueueState(q.typed("state", 20))
	if !slices.Contains(waypost.QueueStates(), f.State) {
		f.State = ""
	}
	v := view.Deliveries{
		Operator: operator, Domain: domain, Active: operator.Value+domain.Value+string(f.State) != "", Done: q.controlled(), Unfinished: q.unfinished(),
		State: view.Field{Name: "state", Label: q.T("queue.state"), Value: string(f.State), Options: []view.Option{{Label: q.T("queue.any_state")}}},
	}
	for _, s := range waypost.QueueStates() {
		v.State.Options = append(v.State.Options, view.Option{Value: string(s), Label: q.Label("queue_state", string(s))})
	}
	if v.Names, err = p.operatorNames(q.Context()); err != nil {
		return err
	}
	if ok {
		if err := p.listDeliveries(q, f, &v); err != nil {
			return err
		}
	}
	if ok && q.mayWrite() {
		q.queueControls(f, operator.Value, &v)
	}
	title := q.T("queue.deliveries")
	return q.show(title, view.DeliveriesPage(q.frame(title), v))
}

func (p *panel) listDeliveries(q *request, f waypost.QueueFilter, v *view.Deliveries) error {
	cursor := q.typed("cursor", 400)
	list, next, err := p.System.QueueList(q.Context(), f, cursor, queuedOnPage)
	if err != nil {
		return err
	}
	v.First, v.Next = q.pages(cursor, next, "did", "done", "pending", "skipped", "unfinished")
	var ids []string
	for _, d := range list {
		ids = append(ids, d.OperatorID)
	}
	names, err := p.System.OperatorNames(q.Context(), ids)
	if err != nil {
		return err
	}
	for _, d := range list {
		state := queueStateOf(d)
		row := view.DeliveryRow{
			To: d.Recipient, ID: d.ID, OperatorID: d.OperatorID, Operator: names[d.OperatorID], Lane: q.Label("message_lane", string(d.Lane)),
			State: string(state), Label: q.Label("queue_state", string(state)), Expires: q.Moment(d.Expires), Words: d.Reason,
		}
		if d.Attempts > 0 {
			row.Tries = q.N("queue.tries", int64(d.Attempts))
		}
		var w waypost.Wait
		if row.Wait, w = p.waitsFor(q, d); row.Words == "" {
			row.Words = w.Words
		}
		v.Rows = append(v.Rows, row)
	}
	return nil
}

func queueStateOf(d waypost.Delivery) waypost.QueueState {
	switch {
	case d.Lease != "":
		return waypost.QueueLeased
	case d.Held:
		return waypost.QueueHeld
	case d.Attempts > 0:
		return waypost.QueueDeferred
	}
	return waypost.QueueScheduled
}

// queueActions are what staff can do with waiting mail.
func queueActions() []store.ControlAction {
	return []store.ControlAction{store.Retry, store.Hold, store.Release, store.Cancel}
}

// queueControls fills in what can be done with what is listed.
func (q *request) queueControls(f waypost.QueueFilter, operator string, v *view.Deliveries) {
	switch {
	case f.OperatorID != "" && f.Domain != "":
		v.Scope = q.T("queue.scope_both", "Operator", operator, "Domain", f.Domain)
	case f.OperatorID != "":
		v.Scope = q.T("queue.scope_operator", "Operator", operator)
	case f.Domain != "":
		v.Scope = q.T("queue.scope_domain", "Domain", f.Domain)
	default:
		v.Scope, v.All = q.T("queue.scope_all"), true
	}
	for _, action := range queueActions() {
		v.Controls = append(v.Controls, view.QueueControl{
			Label: q.Label("queue_action", string(action)), Ask: q.Label("queue_ask", string(action)) + " " + v.Scope, Danger: action == store.Cancel,
			Hidden: [][2]string{{"action", string(action)}, {"operator", f.OperatorID}, {"domain", f.Domain}},
		})
	}
}

// controlQueue does something with all waiting mail of an operator, to a domain, or both.
func (p *panel) controlQueue(q *request) error {
	action := store.ControlAction(q.typed("action", 20))
	if !slices.Contains(queueActions(), action) {
		return waypost.FieldError("action", "must be retry, cancel, hold or release")
	}
	operatorID, err := p.chosenOperator(q)
	if err != nil {
		return err
	}
	w := waypost.QueueWhere{OperatorID: operatorID, Domain: siteOf(q.typed("domain", 300)), All: q.value("all") == "true"}
	if w.OperatorID == "" && w.Domain == "" && !w.All {
		return waypost.NewError(waypost.Invalid, "queue_scope", "name an operator, a domain, or all")
	}
	// Half of it done would be worse than a browser that does not wait for the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Context()), controlTime)
	defer cancel()
	done, pending, skipped, err := p.System.ControlWhere(ctx, q.by(), w, action, p.Now())
	unfinished := errors.Is(err, context.DeadlineExceeded) // much is done all the same, and has to be told
	if err != nil && !unfinished {
		return err
	}
	p.Queue.Wake()
	path := "/platform/queue/deliveries?did=" + string(action) + "&done=" + strconv.Itoa(done) + "&pending=" + strconv.Itoa(pending) + "&skipped=" + strconv.Itoa(skipped)
	if w.OperatorID != "" {
		path += "&operator=" + escape(w.OperatorID)
	}
	if w.Domain != "" {
		path += "&domain=" + escape(w.Domain)
	}
	if unfinished {
		path += "&unfinished=true"
	}
	return q.redirect(path, "")
}

// hurry ends a slow-down. It is this node's, as what the page shows is: behind a balancer
// another node may be asked, which then says that it has nothing of the kind.
func (p *panel) hurry(q *request) error {
	flash := "not_slowed"
	if q.value("node") == p.Queue.Snapshot(0).Incarnation && p.Queue.Hurry(q.value("name")) {
		flash = "slow_ended"
	}
	return q.redirect("/platform/queue", flash)
}

// unfinished is whether the time was up before an action was done with everything.
func (q *request) unfinished() bool { return q.typed("unfinished", 10) == "true" }

// controlled says what an action did, from the address of the page.
func (q *request) controlled() string {
	action := store.ControlAction(q.typed("did", 20))
	if !slices.Contains(queueActions(), action) {
		return ""
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(q.typed(name, 12), 10, 64)
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	text := q.Label("queue_action", string(action)) + ": " + q.N("queue.done", number("done"))
	if n := number("pending"); n > 0 {
		text += " " + q.N("queue.pending", n)
	}
	if n := number("skipped"); n > 0 {
		text += " " + q.N("queue.skipped", n)
	}
	if q.unfinished() {
		text += " " + q.T("queue.unfinished")
	}
	return text
}
