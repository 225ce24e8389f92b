package panel

import (
	"context"
	"net/http"
	"slices"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// Sandbox is the mail of all operators that went nowhere on purpose, and what came to the
// platform itself.
type Sandbox interface {
	SandboxAll(ctx context.Context, operatorID, cursor string, limit int) ([]store.SandboxMail, string, error)
	SandboxAnyEntry(ctx context.Context, id string) (store.SandboxMail, error)
	SandboxAny(ctx context.Context, id string) (store.SandboxMail, error)
}

func (p *panel) mailboxRoutes() []page {
	return slices.Concat(p.mailboxAt("/mailbox", tenantRead, tenantWrite), p.mailboxAt("/platform/mailbox", platformRead, platformWrite))
}

func (p *panel) mailboxAt(base string, read, write access) []page {
	withMail := func(times int64, answer func(*request, mail) error) func(*request) error {
		return func(q *request) error {
			find := func(times int64) (mail, error) {
				_, m, err := q.findBoxed(base, times)
				return m, err
			}
			return q.withMail(times, find, func(m mail) error { return answer(q, m) })
		}
	}
	return []page{
		{"GET " + base, read, func(q *request) error { return q.showMailbox(base) }},
		{"POST " + base + "/empty", write, func(q *request) error { return q.emptyMailbox(base) }},
		{"GET " + base + "/{id}", read, func(q *request) error { return q.showBoxed(base) }},
		{"GET " + base + "/{id}/preview", read, withMail(web.TakenApart, (*request).sendPreview)},
		{"GET " + base + "/{id}/raw", read, withMail(web.AsItIs, (*request).sendRaw)},
		{"GET " + base + "/{id}/files/{number}", read, withMail(web.TakenApart, (*request).sendFile)},
	}
}

const (
	ownMailbox  = "/mailbox"
	mailsOnPage = 50
)

// mayOpen reports whether the person may see what is in a mail. A password reset or an
// invitation lets in who reads it: that is for the owner of the platform alone.
func (q *request) mayOpen(m *store.SandboxMail) bool {
	return m.Kind != waypost.KindSecurity || q.session.User.Role == waypost.RoleOwner
}

func (q *request) showMailbox(base string) error {
	query := q.URL.Query()
	cursor, operator := storable(query.Get("cursor"), 100), storable(query.Get("operator"), 100)
	v := view.Mailbox{Base: base, Live: q.panel.Platform.Sandbox()}
	var list []store.SandboxMail
	var next string
	var err error
	if base == ownMailbox {
		operator = q.operator()
		list, next, err = q.panel.Store.SandboxList(q.Context(), operator, cursor, mailsOnPage)
	} else {
		v.Platform = true
		list, next, err = q.panel.System.SandboxAll(q.Context(), operator, cursor, mailsOnPage)
	}
	if err != nil {
		return err
	}
	if v.Platform && operator != "" {
		if v.Chosen, err = q.boxName(operator); err != nil {
			return err
		}
	}
	if v.Empties = q.mayWrite() && operator != "" && len(list) > 0; v.Empties {
		v.Operator = operator
	}
	v.First, v.Next = q.pages(cursor, next)
	for i := range list {
		m := &list[i]
		row := view.BoxedRow{Path: base + "/" + m.ID, At: q.Moment(m.Created), From: m.MailFrom, To: m.Recipient, Size: q.Size(m.Size)}
		row.Subject, row.Plain = q.boxedSubject(m)
		if v.Platform {
			if row.Operator, err = q.boxName(m.OperatorID); err != nil {
				return err
			}
			row.OperatorPath = base + "?operator=" + escape(m.OperatorID)
		}
		v.Rows = append(v.Rows, row)
	}
	return q.show(q.T("mailbox.title"), view.MailboxPage(q.frame(""), v))
}

// boxName is the name of whose mail it is.
func (q *request) boxName(operator string) (string, error) {
	a, err := q.panel.Directory.Get(q.Context(), operator)
	if waypost.KindOf(err) == waypost.NotFound { // deleted meanwhile
		return operator, nil
	}
	if err != nil {
		return "", err
	}
	return a.Name, nil
}

func (q *request) boxedSubject(m *store.SandboxMail) (text string, plain bool) {
	switch {
	case !q.mayOpen(m):
		return q.T("messages.secret"), true
	case m.Subject == "":
		return q.T("messages.no_subject"), true
	}
	return m.Subject, false
}

// findBoxed reads the mail that the path names: what the list has of it, and its content.
// The error is Forbidden if it is there, but not for the person to read.
func (q *request) findBoxed(base string, times int64) (store.SandboxMail, mail, error) {
	none := func(err error) (store.SandboxMail, mail, error) { return store.SandboxMail{}, mail{}, err }
	id, err := q.pathID("id")
	if err != nil {
		return none(err)
	}
	entry, read := q.panel.System.SandboxAnyEntry, q.panel.System.SandboxAny
	if base == ownMailbox {
		entry = func(ctx context.Context, id string) (store.SandboxMail, error) {
			return q.panel.Store.SandboxEntry(ctx, q.operator(), id)
		}
		read = func(ctx context.Context, id string) (store.SandboxMail, error) {
			return q.panel.Store.SandboxMail(ctx, q.operator(), id)
		}
	}
	m, err := entry(q.Context(), id)
	if err == nil && !q.mayOpen(&m) {
		err = waypost.NewError(waypost.Forbidden, "content_owner", "the content of security mail is for the owner of the platform only")
	}
	if err != nil {
		return none(err)
	}
	memory, err := q.remember(m.Size, times)
	if err != nil {
		return none(err)
	}
	whole, err := read(q.Context(), id)
	if err != nil {
		memory.Release()
		return none(err)
	}
	header, body := message.SplitClean(whole.Data)
	return m, mail{header: header, body: body, base: base + "/" + m.ID, id: m.ID, links: true, memory: memory}, nil
}

func (q *request) showBoxed(base string) error {
	m, content, err := q.findBoxed(base, web.TakenApart)
	if err != nil {
		return err
	}
	defer content.memory.Release()
	title, _ := q.boxedSubject(&m)
	v := view.Boxed{Base: base, Subject: title, Mail: q.showMail(content)}
	header := message.Read(content.header, nil).Header
	for _, f := range [][2]string{
		{"from", header.Text("From")},
		{"to", header.Text("To")},
		{"cc", header.Text("Cc")},
		{"mail_from", m.MailFrom},
		{"rcpt_to", m.Recipient},
		{"kind", q.Label("kind", string(m.Kind))},
		{"arrived", q.Exactly(m.Created)},
		{"size", q.Size(m.Size)},
	} {
		if f[1] != "" {
			v.Facts = append(v.Facts, view.Property{Name: q.T("message." + f[0]), Value: f[1]})
		}
	}
	content.memory.Release() // the page has what it shows, and its reader may be slow
	if m.MessageID != "" && base == ownMailbox {
		v.Message = "/messages/" + m.MessageID
	}
	return q.showStatus(http.StatusOK, title, view.BoxedPage(q.frame(""), v))
}

// emptyMailbox removes the mail of one operator from its mailbox: the own one, or the one
// that staff chose.
func (q *request) emptyMailbox(base string) error {
	of, back := q.account, base
	if base != ownMailbox {
		var err error
		if of, err = q.panel.Directory.Get(q.Context(), q.typed("operator", 100)); err != nil {
			return err
		}
		back += "?operator=" + escape(of.ID)
	}
	if _, err := q.panel.Store.SandboxEmpty(q.Context(), q.by(), of.ID); err != nil {
		return err
	}
	return q.redirect(back, "mailbox_emptied")
}
