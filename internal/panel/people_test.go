package panel_test

import (
	"context"
	"encoding/base64"
	"errors"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// hostile is what people with bad intentions type; a mark that turns text around is not
// even taken as a name.
const hostile = `"><script>alert(1)</script>'&lt;`

// postman sees the mails that the panel writes, on their way.
type postman struct {
	next panel.Accepter
	wait sync.WaitGroup

	mu   sync.Mutex
	sent []waypost.Submission
}

// Accept implements panel.Accepter.
func (m *postman) Accept(ctx context.Context, s waypost.Submission) (waypost.Receipt, error) {
	m.mu.Lock()
	m.sent = append(m.sent, s)
	m.mu.Unlock()
	return m.next.Accept(ctx, s)
}

// withPostman is a world whose mails are seen; they leave under a public address.
func withPostman(t *testing.T, change ...func(*panel.Options)) (*world, *postman) {
	t.Helper()
	m := &postman{}
	w := newWorld(t, append([]func(*panel.Options){func(o *panel.Options) {
		m.next, o.Accepter, o.Go, o.PublicURL = o.Accepter, m, m.wait.Go, "https://mail.example"
	}}, change...)...)
	t.Cleanup(m.wait.Wait)
	return w, m
}

// inSandbox is an installation whose mail leads nowhere.
func inSandbox(o *panel.Options) { o.Platform = route.Platform{} }

// letter is a mail as somebody reads it.
type letter struct {
	to, subject, text, html, path string
	from                          string
}

var reLink = regexp.MustCompile(`(https?://[^/\s]+)(/(?:invite|reset)/[A-Za-z0-9_-]{43})\r?\n`)

// take returns the mails since it was last asked, by who gets them.
func (m *postman) take(t *testing.T) map[string]letter {
	t.Helper()
	m.wait.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]letter{}
	for _, s := range m.sent {
		if s.OperatorID != waypost.PlatformOperatorID || s.Kind != waypost.KindSecurity || s.Source != "notice" || len(s.Recipients) != 1 {
			t.Errorf("%+v", s)
		}
		found[s.Recipients[0]] = readLetter(t, s)
	}
	m.sent = nil
	return found
}

func readLetter(t *testing.T, s waypost.Submission) letter {
	t.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(string(s.Message)))
	if err != nil {
		t.Fatal(err)
	}
	if msg.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("%v", msg.Header)
	}
	words := new(mime.WordDecoder)
	l := letter{to: msg.Header.Get("To"), from: msg.Header.Get("From")}
	if l.subject, err = words.DecodeHeader(msg.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatal(kind, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var r io.Reader = p
		switch p.Header.Get("Content-Transfer-Encoding") {
		case "quoted-printable":
			r = quotedprintable.NewReader(p)
		case "base64":
			r = base64.NewDecoder(base64.StdEncoding, p)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			l.html = string(text)
		} else {
			l.text = string(text)
		}
	}
	if m := reLink.FindStringSubmatch(l.text); m != nil {
		l.path = m[2]
		if !strings.Contains(l.html, m[1]+m[2]) {
			t.Errorf("the HTML has another link: %s", l.html)
		}
	}
	return l
}

// audited lists the actions of the audit log of an operator, oldest first.
func (w *world) audited(t *testing.T, operatorID string) []string {
	t.Helper()
	list, err := w.db.Store.AuditLog(t.Context(), operatorID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range slices.Backward(list) {
		actions = append(actions, e.Action)
	}
	return actions
}

// quiet fails if a secret is in the log.
func (w *world) quiet(t *testing.T, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if s != "" && strings.Contains(w.log.String(), s) {
			t.Errorf("the log has %q", s)
		}
	}
}

var reNext = regexp.MustCompile(`rel="next" href="([^"]+)"`)

// nextOf is where the next page of a list is.
func nextOf(t *testing.T, a answer) string {
	t.Helper()
	m := reNext.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("there is no next page:\n%s", a.text())
	}
	return html.UnescapeString(m[1])
}

// switchTOTPOn sets two-step sign-in up.
func (v *visitor) switchTOTPOn(t *testing.T) {
	t.Helper()
	v.post("/account/totp", "totp_password", password)
	secret := reSecret.FindStringSubmatch(v.open("/account/totp").body)
	if secret == nil {
		t.Fatal("no secret")
	}
	v.post("/account/totp/confirm", "code", code(t, secret[1], time.Now())).wants("Recovery codes")
}

// actFor lets the session of staff act for an operator.
func (v *visitor) actFor(t *testing.T, operatorID string) {
	t.Helper()
	list, err := v.w.users.Sessions(t.Context(), v.user.ID)
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	if err := v.w.users.ActFor(t.Context(), auth.Session{UserSession: list[0], User: v.user}, operatorID); err != nil {
		t.Fatal(err)
	}
}
