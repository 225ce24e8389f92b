package app_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

func get(t *testing.T, address string, form url.Values, host string) (status int, body string) {
	t.Helper()
	method, content := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, content = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, content)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestTheFirstLinkOpensAPageAndMailsLeadToTheListener(t *testing.T) {
	c := settings(t)
	a := start(t, c)
	base := "http://" + a.Addr(app.ListenHTTP).String()
	if status, body := get(t, firstLink(t, c), nil, ""); status != http.StatusOK || !strings.Contains(body, `name="again"`) {
		t.Fatalf("%d %s", status, body)
	}
	if _, err := a.Users.Create(t.Context(), waypost.CommandLine(), auth.NewUser{Login: "boss", Email: "boss@example.test", Role: waypost.RoleOwner}, "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, base+"/forgot", url.Values{"who": {"boss"}}, "evil.example"); status != http.StatusSeeOther {
		t.Fatalf("%d", status)
	}
	var mail []byte
	eventually(t, func() error { // of kind security: tenants do not see it
		list, _, err := a.System.SandboxAll(t.Context(), waypost.PlatformOperatorID, "", 10)
		if err != nil || len(list) != 1 {
			return fmt.Errorf("%d mails, %w", len(list), err)
		}
		m, err := a.System.SandboxAny(t.Context(), list[0].ID)
		mail = m.Data
		return err
	})
	mail = bytes.ReplaceAll(mail, []byte("=\r\n"), nil)
	if !bytes.Contains(mail, []byte(base+"/reset/")) || bytes.Contains(mail, []byte("evil")) || !bytes.Contains(mail, []byte("no-reply@mx.example.test")) {
		t.Errorf("%s", mail)
	}
	eventually(t, func() error { // the owner is there: the link is of no more use
		if link := firstLink(t, c); link != "" {
			return fmt.Errorf("still there: %s", c.DataDir)
		}
		return nil
	})
}

// notes collect the log of a running server.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

func TestAProxyThatIsNotTrustedIsLoggedOnceAndShown(t *testing.T) {
	for name, env := range map[string][]string{"as the documentation had it": {"WAYPOST_PUBLIC_URL=https://mail.example.test"}, "named": {"WAYPOST_TRUSTED_PROXIES=127.0.0.1"}} {
		t.Run(name, func(t *testing.T) {
			log := &notes{}
			a, err := app.New(t.Context(), app.Options{Config: settings(t, env...), Log: slog.New(slog.NewTextHandler(log, nil)), Version: "test"})
			if err != nil {
				t.Fatal(err)
			}
			defer stop(t, a)
			for range 2 {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.Addr(app.ListenHTTP).String()+"/sign-in", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Forwarded-For", "192.0.2.7")
				res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
			}
			want, shown := 1, "127.0.0.1"
			if name == "named" {
				want, shown = 0, ""
			}
			if n := strings.Count(log.String(), "WAYPOST_TRUSTED_PROXIES"); n != want {
				t.Errorf("%d warnings:\n%s", n, log)
			}
			if m := a.Machine(t.Context()); m.UnnamedProxy != shown {
				t.Errorf("%q", m.UnnamedProxy)
			}
		})
	}
}

func TestTheUseOfKeysIsKeptWhenTheServerStops(t *testing.T) {
	c := settings(t)
	a := start(t, c)
	op, key := operator(t, a.Base, "")
	if err := submit(t, a, key, "x@example.test", "Hello"); err != nil {
		t.Fatal(err)
	}
	stop(t, a)
	a = start(t, c)
	list, err := a.Store.Credentials(t.Context(), op)
	if err != nil || len(list) != 1 || list[0].Used.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
}
