package panel

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/sheet"
	"github.com/waypost/waypost/internal/store"
)

// Bounds of an export.
const (
	maxExport     = 50000           // rows
	exportTime    = 4 * time.Minute // servers end an answer after five
	exportMoment  = "2006-01-02 15:04:05"
	exportTimeout = time.Minute // for the client to take a page
)

// messagesCSV exports what the list shows, page by page. An end that comes too early is
// said in the last line: a file does not show that something is missing.
func (p *panel) messagesCSV(q *request) error {
	s := q.messageSearch()
	if len(s.problems) > 0 {
		return q.showMessages(http.StatusUnprocessableEntity, s, store.MessagePage{})
	}
	s.Cursor, s.Limit = "", 1000
	found, err := p.Store.Messages(q.Context(), q.operator(), s.MessageFilter)
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="messages-`+p.Now().In(q.Zone).Format("20060102-150405")+`.csv"`)
	_, _ = q.w.Write([]byte("\xef\xbb\xbf")) // without it spreadsheets do not see that it is UTF-8
	out := sheet.NewWriter(q.w)
	q.exportHead(out)
	if last := q.exportRows(out, s, found); last != "" {
		out.Row([]string{last})
	}
	_ = out.Flush() // a client that is gone reads nothing
	return nil
}

// exportRows writes the rows, and returns what the last line is to say, "" for nothing.
func (q *request) exportRows(out sheet.Writer, s messageSearch, found store.MessagePage) string {
	end := q.panel.Now().Add(exportTime)
	for rows := 0; ; {
		_ = http.NewResponseController(q.w).SetWriteDeadline(time.Now().Add(exportTimeout)) // not every writer has deadlines
		for i := range found.Messages {
			if rows == maxExport {
				return q.T("messages.csv_full", "Count", q.Number(maxExport))
			}
			q.exportRow(out, &found.Messages[i])
			rows++
		}
		switch err := out.Flush(); {
		case err != nil: // the client is gone
			return ""
		case found.Next == "" && found.Truncated:
			return q.T("messages.too_many_addresses")
		case found.Next == "":
			return ""
		case q.panel.Now().After(end):
			return q.T("messages.searched_to", "When", q.Moment(idTime(found.Next)))
		}
		s.Cursor = found.Next
		var err error
		if found, err = q.panel.Store.Messages(q.Context(), q.operator(), s.MessageFilter); err != nil {
			q.panel.Log.ErrorContext(q.Context(), "export broke off", obs.Error(err))
			return q.T("messages.csv_broken")
		}
	}
}

func (q *request) exportHead(out sheet.Writer) {
	head := []string{q.T("messages.at") + " (" + q.Zone.String() + ")", "ID"}
	for _, column := range []string{"from", "to", "recipients", "subject", "kind"} {
		head = append(head, q.T("messages.csv_"+column))
	}
	for _, state := range allStates() {
		head = append(head, q.Label("state", string(state)))
	}
	out.Row(append(head, q.T("messages.tag")))
}

func (q *request) exportRow(out sheet.Writer, m *store.MessageSummary) {
	subject, _ := q.subject(&m.Message)
	row := []string{
		m.Created.In(q.Zone).Format(exportMoment), m.ID, m.From.Email, m.Recipient, strconv.Itoa(m.Recipients), subject, q.Label("kind", string(m.Kind)),
	}
	for _, state := range allStates() {
		row = append(row, strconv.Itoa(m.States[state]))
	}
	out.Row(append(row, strings.Join(m.Tags, ", ")))
}
