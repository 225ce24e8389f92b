package panel

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/panel/locale"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

// letterTimeout bounds how long a mail may take to be accepted.
const letterTimeout = 30 * time.Second

// letter is a mail to a user about how it signs in. It is a mail of kind security: its
// content is gone once it is delivered, and no page shows it before.
type letter struct {
	to      waypost.User
	text    string    // of its texts: "letter.invite_"
	fill    []any     // pairs of names and values for them
	also    string    // one more text, "" for none
	path    string    // of the page it leads to; "" for none
	expires time.Time // of the link; zero for a notice
	accept  string    // language for who has chosen none
	asked   bool      // by whoever it is that forgot a password
}

// letterLimits bound the letters. They leave from the platform's own address, signed, and past
// the limits and the suspension of operators, so nobody may send them to others at will. What
// a stranger asks for, what people of the operator send, and notices of what happened are
// counted apart: none of them keeps the others back.
type letterLimits struct {
	mailboxes *limit.Limits
	operators *limit.Limits
}

func newLetterLimits() letterLimits {
	const hour = 3600
	return letterLimits{mailboxes: limit.New(5.0/hour, 5), operators: limit.New(60.0/hour, 60)}
}

// limitedAs are the names under which a letter is counted.
func (l letter) limitedAs() (mailbox, operator string) {
	sort := "link "
	if l.path == "" {
		sort = "notice "
	}
	mailbox = sort + l.to.Email
	if local, domain, err := waypost.SplitAddress(l.to.Email); err == nil {
		local, _, _ = strings.Cut(local, "+") // many addresses of one mailbox
		mailbox = sort + local + "@" + domain
	}
	if l.asked {
		sort = "asked "
	}
	return mailbox, sort + l.to.OperatorID
}

// mayPost fails if a letter would be one too many, without counting it. It is for what must
// not be done without its letter.
func (p *panel) mayPost(l letter) error {
	if p.Platform.Sandbox() {
		return nil
	}
	mailbox, operator := l.limitedAs()
	switch {
	case p.letters.mailboxes.Spent(mailbox):
		return tooManyThere()
	case p.letters.operators.Spent(operator):
		return tooManyLetters()
	}
	return nil
}

func tooManyThere() error {
	return &waypost.Error{Kind: waypost.RateLimited, Code: "too_many_there", Field: "email", Message: "too many letters went to this address: wait an hour"}
}

func tooManyLetters() error {
	return waypost.NewError(waypost.RateLimited, "too_many_letters", "too many letters were sent: wait an hour")
}

// lettersLead is where links in mails lead. A request says under which name it reached this
// server, but whoever sent it wrote that name: a stranger who asks for a reset would choose
// where its link leads. So only the configuration counts, and without it the listener.
func (p *panel) lettersLead() string { return strings.TrimSuffix(cmp.Or(p.PublicURL, p.LocalURL), "/") }

// reLinkish finds in a name what mail programs make a link of.
var reLinkish = regexp.MustCompile(`(?i)://|www\.|[\pL\pM\pN][.。][\pL\pM\pN-]{2,}`)

// greetable is a name that a letter may use, "" for one that could be a link: whoever invites
// writes the name, and the mail is the platform's.
func greetable(name string) string {
	if reLinkish.MatchString(norm.NFKC.String(name)) { // which makes plain characters of their look-alikes
		return ""
	}
	return name
}

// post hands a letter over to the accept pipeline. Errors are Conflict for who has no address,
// and RateLimited.
func (p *panel) post(ctx context.Context, l letter) error {
	if l.to.Email == "" {
		return waypost.NewError(waypost.Conflict, "no_address", "the user has no e-mail address")
	}
	mailbox, operator := l.limitedAs()
	switch {
	case !p.letters.mailboxes.Allow(mailbox):
		return tooManyThere()
	case !p.letters.operators.Allow(operator):
		return tooManyLetters()
	}
	ctx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	l.to.Name = greetable(l.to.Name)
	code := l.to.Language
	if !locale.Known(code) {
		code = l.accept
	}
	text := p.texts.Locale(code, l.to.TimeZone)
	now := p.Now()
	v := p.letterView(text, l)
	var html bytes.Buffer
	if err := view.LetterHTML(v).Render(ctx, &html); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	from := p.MailFrom
	if from.Email == "" {
		from = p.Platform.From
	}
	from.Name = cmp.Or(from.Name, p.Brand.Name)
	header, body, err := message.Compose(message.Composition{
		From: from, To: []waypost.Address{{Name: l.to.Name, Email: l.to.Email}}, Subject: v.Subject, Text: v.Text(), HTML: html.String(), Date: now,
		MessageID: "<" + waypost.NewID() + "@" + waypost.DomainOf(from.Email) + ">",
		Headers:   map[string]string{"Auto-Submitted": "auto-generated"}, // RFC 3834: nobody should answer it
	})
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	_, err = p.Accepter.Accept(ctx, waypost.Submission{
		Principal: waypost.Principal{
			OperatorID: waypost.PlatformOperatorID, Scopes: []waypost.Scope{waypost.ScopeSend, waypost.ScopeSecurity}, FromPolicy: waypost.FromReplace,
		},
		OperatorID: waypost.PlatformOperatorID, Source: "notice", Protocol: "internal",
		Recipients: []string{l.to.Email}, Message: append(header, body...), Kind: waypost.KindSecurity, ExpiresAt: l.expires,
	})
	if err != nil {
		return fmt.Errorf("hand over mail: %w", err)
	}
	return nil
}

// letterView puts a letter into words.
func (p *panel) letterView(text *locale.Locale, l letter) view.Letter {
	fill := append([]any{"Brand", p.Brand.Name, "Login", l.to.Login}, l.fill...)
	v := view.Letter{
		Lang: text.Code, Brand: p.Brand.Name, Subject: text.T(l.text+"subject", fill...), Greeting: text.T("letter.hello"),
		Parts: []string{text.T(l.text+"text", fill...)}, Note: text.T(l.text+"note", fill...),
	}
	if l.also != "" {
		v.Parts = append(v.Parts, text.T(l.also))
	}
	if l.to.Name != "" {
		v.Greeting = text.T("letter.hello_name", "Name", l.to.Name)
	}
	if l.path != "" {
		v.Link, v.Button = p.lettersLead()+l.path, text.T(l.text+"button")
		v.Valid = text.T("letter.valid", "Until", text.Exactly(l.expires))
	}
	return v
}

// addressLetter tells of another address, at the old one: who took a login over has the new
// one.
func addressLetter(before, after waypost.User) letter {
	l := letter{to: before, text: "letter.email_", fill: []any{"Address", cmp.Or(after.Email, "–")}}
	if after.Login != before.Login {
		l.also = "letter.email_login"
	}
	return l
}

// tell sends a notice after the answer. That it cannot be sent must not undo what it tells
// of.
func (p *panel) tell(q *request, l letter) {
	if l.to.Email == "" {
		return
	}
	l.accept = q.Code
	ctx := context.WithoutCancel(q.Context())
	p.Go(func() { p.tryPost(ctx, l) })
}

func (p *panel) tryPost(ctx context.Context, l letter) {
	switch err := p.post(ctx, l); {
	case waypost.KindOf(err) == waypost.RateLimited:
		p.Log.Warn("a mail about a user is left out: there were too many", slog.String("user", l.to.ID), obs.Error(err))
	case err != nil:
		p.Log.Error("cannot send a mail about a user", slog.String("user", l.to.ID), obs.Error(err))
	}
}
