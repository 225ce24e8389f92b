package panel

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/panel/preview"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// mail is one whose content may be shown.
type mail struct {
	header, body []byte
	base         string // path of its page
	id           string
	links        bool // links in it work
	memory       *web.Hold
}

// remember waits for the memory that a stored mail takes, before it is read. times is what
// is done with it.
func (q *request) remember(size, times int64) (*web.Hold, error) {
	u := q.session.User
	return q.panel.Memory.Take(q.Context(), web.Claim{Person: u.ID, Operator: u.OperatorID, Size: size, Times: times})
}

// withMail finds a mail and answers with something of it.
func (q *request) withMail(times int64, find func(times int64) (mail, error), answer func(mail) error) error {
	m, err := find(times)
	if err != nil {
		return err
	}
	defer m.memory.Release()
	return answer(m)
}

// maxSource bounds how much of headers and source is shown on the page, in bytes.
const maxSource = 128 << 10

// showMail is the mail in the view that the query asks for.
func (q *request) showMail(m mail) view.Mail {
	r := message.Read(m.header, m.body)
	v := view.Mail{Raw: m.base + "/raw"}
	shown := preview.HTML(r, m.links)
	chosen := q.URL.Query().Get("view")
	if !mailHas(r, chosen) {
		chosen = ""
	}
	for _, name := range []string{"html", "text", "headers", "source"} {
		if !mailHas(r, name) {
			continue
		}
		if chosen == "" {
			chosen = name
		}
		v.Tabs = append(v.Tabs, view.Tab{Label: q.T("mail." + name), Path: m.base + "?view=" + name, Current: name == chosen})
	}
	cut := false
	switch chosen {
	case "html", "text":
		v.Frame, v.Sandbox = m.base+"/preview?view="+chosen, preview.Sandbox(m.links)
	case "headers":
		v.Source, cut = shownSource(m.header)
	default:
		v.Source, cut = shownSource(m.header, m.body)
	}
	if chosen == "html" {
		cut = shown.Cut
		if shown.Blocked > 0 {
			v.Notes = append(v.Notes, q.N("mail.blocked", int64(shown.Blocked)))
		}
		if !m.links && strings.Contains(shown.HTML, "<a ") {
			v.Notes = append(v.Notes, q.T("mail.links_off"))
		}
	}
	if cut {
		v.Notes = append(v.Notes, q.T("mail.cut"))
	}
	if r.Cut {
		v.Notes = append(v.Notes, q.T("mail.too_many_parts"))
	}
	for i, part := range r.Files {
		if shown.Used[part] { // it is seen in its place
			continue
		}
		name := part.Name
		if name == "" {
			name = q.T("mail.unnamed")
		}
		v.Files = append(v.Files, view.MailFile{Name: name, Type: part.Type, Size: q.Size(part.Size()), Path: m.base + "/files/" + strconv.Itoa(i)})
	}
	return v
}

func mailHas(r *message.Reading, name string) bool {
	switch name {
	case "html":
		return r.HTML != nil
	case "text":
		return r.Text != nil
	case "headers", "source":
		return true
	}
	return false
}

// shownSource is the beginning of a mail as it is, fit for a page.
func shownSource(parts ...[]byte) (text string, cut bool) {
	var b strings.Builder
	for _, part := range parts {
		if room := maxSource - b.Len(); len(part) > room {
			part, cut = part[:room], true
		}
		b.Write(part)
	}
	return strings.ReplaceAll(strings.ToValidUTF8(b.String(), "\uFFFD"), "\r\n", "\n"), cut
}

// sendPreview answers with a document of the mail for the frame.
func (q *request) sendPreview(m mail) error {
	r := message.Read(m.header, m.body)
	var d preview.Document
	switch chosen := q.URL.Query().Get("view"); {
	case chosen != "text" && r.HTML != nil:
		d = preview.HTML(r, m.links)
	case r.Text != nil:
		d = preview.Text(r.Text.String(), m.links)
	default:
		return waypost.NewError(waypost.NotFound, "not_found", "")
	}
	h := q.w.Header()
	h.Set("Content-Security-Policy", preview.Policy(m.links))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_ = m.memory.Send(q.w, []byte(d.HTML)) // a client that is gone reads nothing
	return nil
}

// sendRaw answers with the mail as it is.
func (q *request) sendRaw(m mail) error {
	return q.download(m.memory, "message/rfc822", m.id+".eml", m.header, m.body)
}

// sendFile answers with a file of the mail.
func (q *request) sendFile(m mail) error {
	r := message.Read(m.header, m.body)
	n, err := strconv.Atoi(q.PathValue("number"))
	if err != nil || n < 0 || n >= len(r.Files) {
		return waypost.NewError(waypost.NotFound, "not_found", "")
	}
	part := r.Files[n]
	name := part.Name
	if name == "" {
		name = "part-" + strconv.Itoa(n+1)
		if part.Type == "message/rfc822" {
			name += ".eml"
		}
	}
	// Not by its own type: nothing in it is to run here.
	return q.download(m.memory, "application/octet-stream", name, part.Bytes())
}

// download answers with a file to keep. Opened in the browser all the same, it can do
// nothing.
func (q *request) download(memory *web.Hold, kind, name string, parts ...[]byte) error {
	h := q.w.Header()
	h.Set("Content-Type", kind)
	disposition := mime.FormatMediaType("attachment", map[string]string{"filename": name})
	if disposition == "" {
		disposition = "attachment"
	}
	h.Set("Content-Disposition", disposition)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	h.Set("Content-Length", strconv.Itoa(size))
	q.w.WriteHeader(http.StatusOK)
	_ = memory.Send(q.w, parts...) // a client that is gone reads nothing
	return nil
}
