package panel

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) messagesRoutes() []page {
	return []page{
		{"GET /messages", tenantRead, p.messagesPage},
		{"GET /messages.csv", tenantRead, p.messagesCSV},
		{"GET /messages/{id}", tenantRead, p.messagePage},
		{"GET /messages/{id}/live", tenantRead, p.messageLive},
		{"GET /messages/{id}/preview", tenantRead, p.messagePreview},
		{"GET /messages/{id}/raw", tenantRead, p.messageRaw},
		{"GET /messages/{id}/files/{number}", tenantRead, p.messageFile},
		{"POST /messages/{id}/deliveries", tenantWrite, p.controlMessage},
		{"POST /messages/{id}/deliveries/{delivery}", tenantWrite, p.controlDelivery},
		{"POST /messages/{id}/resend", tenantWrite, p.resendMessage},
	}
}

// messagesOnPage is how many messages a page of the list has.
const messagesOnPage = 50

// storable makes what somebody sent fit for the database: UTF-8 without NUL, of at most so
// many bytes.
func storable(text string, most int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return strings.TrimSpace(text)
}

// typed is a field of the form or the query, fit for the database.
func (q *request) typed(name string, most int) string { return storable(q.FormValue(name), most) }

// pathID is an id in the path; what cannot be one is not found.
func (q *request) pathID(name string) (string, error) {
	id := q.PathValue(name)
	if id == "" || id != storable(id, 100) {
		return "", waypost.NewError(waypost.NotFound, "not_found", "")
	}
	return id, nil
}

// messageSearch is what somebody looks for.
type messageSearch struct {
	store.MessageFilter

	period, from, to string            // as typed
	problems         map[string]string // by field
}

// periods are those to choose from, but all time and from day to day.
func periods() map[string]time.Duration {
	return map[string]time.Duration{"24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour}
}

// messageSearch reads the query.
func (q *request) messageSearch() messageSearch {
	s := messageSearch{
		MessageFilter: store.MessageFilter{
			Recipient: q.typed("recipient", 254), Subject: q.typed("subject", 500), Tag: q.typed("tag", 64), BatchID: q.typed("batch", 100),
			State: waypost.State(q.typed("state", 20)), Cursor: q.typed("cursor", 100), Limit: messagesOnPage,
		},
		period: q.typed("period", 10), from: q.typed("from", 20), to: q.typed("to", 20), problems: map[string]string{},
	}
	s.Kind, _ = waypost.ParseKind(q.typed("kind", 20))
	if !slices.Contains(allStates(), s.State) {
		s.State = ""
	}
	if length, ok := periods()[s.period]; ok {
		s.From = q.panel.Now().Add(-length)
		return s
	}
	// Without scripts the days are there whatever the period: they count if they are filled in.
	s.From = s.day(q, "from", s.from)
	if s.To = s.day(q, "to", s.to); !s.To.IsZero() {
		s.To = s.To.AddDate(0, 0, 1) // the day counts
	}
	s.period = ""
	if s.from+s.to != "" {
		s.period = "custom"
	}
	if !s.From.IsZero() && !s.To.IsZero() && !s.From.Before(s.To) {
		s.problems["to"] = q.T("messages.bad_period")
	}
	return s
}

// day reads the beginning of a day where the reader is.
func (s *messageSearch) day(q *request, name, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	at, err := time.ParseInLocation(time.DateOnly, text, q.Zone)
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		s.problems[name] = q.T("messages.bad_day")
		return time.Time{}
	}
	return at
}

func (s *messageSearch) active() bool {
	return s.Recipient+s.Subject+s.Tag+s.BatchID+string(s.Kind)+string(s.State)+s.period != ""
}

// allStates lists the states as people look for them.
func allStates() []waypost.State {
	return append([]waypost.State{waypost.Queued}, waypost.FinalStates()...)
}

func (p *panel) messagesPage(q *request) error {
	s := q.messageSearch()
	if len(s.problems) > 0 {
		return q.showMessages(http.StatusUnprocessableEntity, s, store.MessagePage{})
	}
	found, err := p.Store.Messages(q.Context(), q.operator(), s.MessageFilter)
	if err != nil {
		return err
	}
	return q.showMessages(http.StatusOK, s, found)
}

func (q *request) showMessages(status int, s messageSearch, found store.MessagePage) error {
	v := view.Messages{Search: q.searchForm(s), CSV: csvPath(q)}
	v.First, v.Continue = q.pages(s.Cursor, found.Next)
	switch {
	case !found.Truncated:
	case found.Next == "", strings.HasSuffix(s.Recipient, "*"): // beyond that, Next does not lead further
		v.Notes = append(v.Notes, q.T("messages.too_many_addresses"))
	default:
		v.Notes = append(v.Notes, q.T("messages.searched_to", "When", q.Moment(idTime(found.Next))))
	}
	waits, err := q.shortWaits(found.Messages)
	if err != nil {
		return err
	}
	for i := range found.Messages {
		m := &found.Messages[i]
		row := view.MessageRow{
			Path: "/messages/" + m.ID, At: q.Moment(m.Created), To: m.Recipient, Kind: q.Label("kind", string(m.Kind)), Test: m.Test,
			States: q.states(m.States), Why: waits[m.ID],
		}
		row.Subject, row.Plain = q.subject(&m.Message)
		if m.Recipients > 1 {
			row.More = q.T("messages.more", "Count", q.Number(int64(m.Recipients-1)))
		}
		v.Rows = append(v.Rows, row)
	}
	return q.showStatus(status, q.T("messages.title"), view.MessagesPage(q.frame(""), v))
}

func csvPath(q *request) string {
	_, query, ok := strings.Cut(q.with("cursor", ""), "?")
	if !ok {
		return "/messages.csv"
	}
	return "/messages.csv?" + query
}

// idTime is when the thing with an id was made.
func idTime(id string) time.Time {
	b, ok := waypost.ParseID(id)
	if !ok {
		return time.Time{}
	}
	var ms int64
	for _, x := range b[:6] {
		ms = ms<<8 | int64(x)
	}
	return time.UnixMilli(ms).UTC()
}

// subject is what stands for a message: its subject, or words of ours if it has none or
// must not be shown.
func (q *request) subject(m *waypost.Message) (text string, plain bool) {
	switch {
	case m.Kind == waypost.KindSecurity:
		return q.T("messages.secret"), true
	case m.Subject != "":
		return m.Subject, false
	case !m.Erased.IsZero():
		return q.T("messages.erased"), true
	}
	return q.T("messages.no_subject"), true
}

// states are the deliveries of a message by state, the final ones last.
func (q *request) states(count map[waypost.State]int) []view.State {
	var list []view.State
	for _, state := range allStates() {
		n := count[state]
		if n == 0 {
			continue
		}
		label := q.Label("state", string(state))
		if n > 1 {
			label += " " + q.Number(int64(n))
		}
		list = append(list, view.State{State: string(state), Label: label})
	}
	return list
}

// shortWaits says in a few words what messages wait for, by message.
func (q *request) shortWaits(messages []store.MessageSummary) (map[string]string, error) {
	var ids []string
	for i := range messages {
		if messages[i].States[waypost.Queued] > 0 {
			ids = append(ids, messages[i].ID)
		}
	}
	waiting, err := q.panel.Store.Waiting(q.Context(), q.operator(), ids)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for id, d := range waiting {
		texts[id] = q.shortWait(q.panel.Queue.Waits(q.account, &d))
	}
	return texts, nil
}

// shortWait says what a delivery waits for in a few words.
func (q *request) shortWait(w waypost.Wait) string {
	if reason := string(w.Reason); q.Label("wait", reason) != reason {
		return q.T("wait."+reason, "When", q.Moment(w.Until))
	}
	return w.Text // newer than the texts
}

// searchForm is the form with what is typed.
func (q *request) searchForm(s messageSearch) view.MessageSearch {
	field := func(name, value string) view.Field {
		return view.Field{Name: name, Label: q.T("messages." + name), Value: value, Error: s.problems[name], Auto: "off"}
	}
	f := view.MessageSearch{
		Recipient: field("recipient", s.Recipient), Subject: field("subject", s.Subject), Kind: field("kind", string(s.Kind)),
		State: field("state", string(s.State)), Period: field("period", s.period), From: field("from", s.from), To: field("to", s.to),
		Tag: field("tag", s.Tag), Batch: s.BatchID, Active: s.active(), Wrong: len(s.problems) > 0,
	}
	f.Recipient.Hint, f.Recipient.Max, f.Recipient.Mode = q.T("messages.recipient_hint"), 254, "email"
	f.Subject.Hint, f.Subject.Max, f.Tag.Max = q.T("messages.subject_hint"), 500, 64
	f.From.Type, f.To.Type = "date", "date"
	f.Kind.Options = []view.Option{{Label: q.T("messages.any")}}
	for _, k := range []waypost.Kind{waypost.KindEvent, waypost.KindReport, waypost.KindBalance, waypost.KindSecurity, waypost.KindTest, waypost.KindOther} {
		f.Kind.Options = append(f.Kind.Options, view.Option{Value: string(k), Label: q.Label("kind", string(k))})
	}
	f.State.Options = []view.Option{{Label: q.T("messages.any")}}
	for _, state := range allStates() {
		f.State.Options = append(f.State.Options, view.Option{Value: string(state), Label: q.Label("state", string(state))})
	}
	for _, period := range []string{"", "24h", "7d", "30d", "custom"} {
		label := q.T("messages.any_time")
		if period != "" {
			label = q.Label("period", period)
		}
		f.Period.Options = append(f.Period.Options, view.Option{Value: period, Label: label})
	}
	return f
}
