package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/smtp" //nolint:depguard // an independent client
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/config"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings are those of a first start in a new directory, with free ports.
func settings(t *testing.T, env ...string) config.Config {
	t.Helper()
	c, err := config.Parse(nil, append([]string{
		"WAYPOST_DATA_DIR=" + t.TempDir(), "WAYPOST_HOSTNAME=mx.example.test",
		"WAYPOST_HTTP_ADDR=127.0.0.1:0", "WAYPOST_SMTP_ADDR=127.0.0.1:0", "WAYPOST_METRICS_ADDR=127.0.0.1:0",
	}, env...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func start(t *testing.T, c config.Config) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), app.Options{Config: c, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, a) })
	return a
}

func stop(t *testing.T, a *app.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// operator makes an operator with a key that may do everything.
func operator(t *testing.T, b *app.Base, contact string) (id, key string) {
	t.Helper()
	op, err := b.Accounts.CreateOperator(t.Context(), waypost.CommandLine(), account.NewOperator{
		Name: "Acme Tracking", Product: waypost.ProductServermate, Contact: contact,
	})
	if err != nil {
		t.Fatal(err)
	}
	key, _, err = b.Auth.Create(t.Context(), waypost.CommandLine(), auth.CreateRequest{OperatorID: op.ID, Scopes: []waypost.Scope{
		waypost.ScopeSend, waypost.ScopeSecurity, waypost.ScopeRead, waypost.ScopeSettings,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return op.ID, key
}

func submit(t *testing.T, a *app.App, key, to, subject string) error {
	t.Helper()
	c, err := smtp.Dial(a.Addr(app.ListenSMTP).String())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		return err
	}
	if err := c.Auth(smtp.PlainAuth("", "acme", key, "127.0.0.1")); err != nil {
		return err
	}
	if err := errors.Join(c.Mail("alerts@acme.test"), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "From: alerts@acme.test\r\nTo: %s\r\nSubject: %s\r\n\r\nHello.\r\n", to, subject)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return c.Quit()
}

// eventually polls until ok, which says what is missing.
func eventually(t *testing.T, ok func() error) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

func sandbox(t *testing.T, a *app.App, op string, want int) []store.SandboxMail {
	t.Helper()
	var mails []store.SandboxMail
	eventually(t, func() error {
		list, _, err := a.System.SandboxAll(t.Context(), op, "", 100)
		if err != nil {
			return err
		}
		mails = list
		if len(list) != want {
			return fmt.Errorf("%d mails in the sandbox, want %d", len(list), want)
		}
		return nil
	})
	return mails
}

func TestAFirstStartIsCompleteAndItsMailEndsInTheSandbox(t *testing.T) {
	c := settings(t)
	a := start(t, c)
	op, key := operator(t, a.Base, "")
	noLogin(t, a)
	if err := submit(t, a, key, "driver@example.test", "Truck 7"); err != nil {
		t.Fatal(err)
	}
	mails := sandbox(t, a, op, 1)
	if got := mails[0]; got.Subject != "Truck 7" || got.Recipient != "driver@example.test" {
		t.Errorf("in the sandbox: %+v", got)
	}
	for _, name := range []string{app.ListenHTTP, app.ListenMetrics} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.Addr(name).String()+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("readyz on %s: %s", name, resp.Status)
		}
	}
	for _, name := range []string{"instance.key", "waypost.db", "smtp-key.pem"} {
		info, err := os.Stat(filepath.Join(c.DataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %s: others may read it", name, info.Mode())
		}
	}
}

func noLogin(t *testing.T, a *app.App) {
	t.Helper()
	if err := submit(t, a, "wp_live_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "driver@example.test", "x"); err == nil {
		t.Error("a made-up key was accepted")
	}
}

func TestADataDirectoryIsServedOnce(t *testing.T) {
	c := settings(t)
	start(t, c)
	if _, err := app.New(t.Context(), app.Options{Config: c, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, app.ErrLocked) {
		t.Errorf("the second start says %v", err)
	}
}

func TestReplyRulesWithAMistakeRefuseTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.toml")
	if err := os.WriteFile(file, []byte("[[rule]]\nname = \"mine\"\ncode = 550\ncause = \"unheard of\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := settings(t, "WAYPOST_REPLY_RULES="+file)
	_, err := app.New(t.Context(), app.Options{Config: c, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("it starts")
	}
	for _, part := range []string{"WAYPOST_REPLY_RULES", file, `"mine"`, "unheard of"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}

func TestStoppingTwiceIsHarmlessAndTheNextStartGoesOn(t *testing.T) {
	c := settings(t)
	a := start(t, c)
	op, key := operator(t, a.Base, "")
	stop(t, a)
	stop(t, a)
	b := start(t, c)
	if err := submit(t, b, key, "driver@example.test", "again"); err != nil {
		t.Fatal(err)
	}
	sandbox(t, b, op, 1)
}

func TestAnotherInstanceKeyIsRefusedWithTheRemedy(t *testing.T) {
	c := settings(t)
	stop(t, start(t, c))
	key := filepath.Join(c.DataDir, "instance.key")
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"missing": func() error { return os.Remove(key) },
		"another": func() error { return os.WriteFile(key, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			_, err := app.OpenCommand(t.Context(), c, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), "WAYPOST_INSTANCE_KEY") {
				t.Errorf("it says %v", err)
			}
			if err != nil && strings.Contains(err.Error(), strings.TrimSpace(string(good))) {
				t.Error("the key is in the error")
			}
		})
	}
}

func TestCommandsThatStartTogetherOnANewDirectoryAllWork(t *testing.T) {
	c := settings(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			b, err := app.OpenCommand(context.Background(), c, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			if got := len(b.Keys.Published()); got != 2 {
				t.Errorf("%d DKIM keys", got)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestAFullDiskRefusesNewMailForNow(t *testing.T) {
	a := start(t, settings(t, "WAYPOST_DISK_RESERVE=900000GiB"))
	_, key := operator(t, a.Base, "")
	err := submit(t, a, key, "driver@example.test", "x")
	if err == nil || !strings.HasPrefix(err.Error(), "452") || !strings.Contains(err.Error(), "4.3.1") {
		t.Errorf("submission says %v", err)
	}
}

// closedPort is a port where nothing listens, and what makes a server answer there. It
// is called outside of bubbles: a connection that somebody waits for stops their time.
func closedPort(t *testing.T, server *mailtest.SMTP) (port int, open func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	ask, done := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-ask
		again, err := net.Listen("tcp", addr)
		if err == nil {
			l = again
		}
		close(done)
		if err != nil {
			t.Error(err)
			return
		}
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server.Addr())
			if err != nil {
				_ = in.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				wg.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					_ = pair[0].Close()
					_ = pair[1].Close()
				})
			}
		}
	})
	open = sync.OnceFunc(func() { close(ask); <-done })
	port = l.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { open(); _ = l.Close(); wg.Wait() })
	return port, open
}

func TestTheOperatorIsToldOnceThatItsServerCannotBeReached(t *testing.T) {
	server := mailtest.StartSMTP(t, mailtest.Knobs{})
	port, open := closedPort(t, server)
	c := settings(t, "WAYPOST_HTTP_ADDR=off", "WAYPOST_SMTP_ADDR=off", "WAYPOST_METRICS_ADDR=off",
		"WAYPOST_GUARD_ALLOW=127.0.0.0/8", "WAYPOST_RELAY_PORTS="+strconv.Itoa(port))
	synctest.Test(t, func(t *testing.T) { // minutes of retries
		a := start(t, c)
		op, _ := operator(t, a.Base, "it@acme.test")
		_, err := a.Accounts.SaveEmail(t.Context(), waypost.CommandLine(), op, account.Update{
			Gateway: &account.GatewayUpdate{Type: waypost.GatewaySMTP, Host: "127.0.0.1", Port: port, Security: waypost.SecurityNone},
			From:    "alerts@acme.test",
		})
		if err != nil {
			t.Fatal(err)
		}
		send := func() {
			t.Helper()
			_, err := a.Submit.Accept(t.Context(), waypost.Submission{
				Principal: waypost.Principal{OperatorID: op, Scopes: waypost.DefaultScopes()},
				Source:    "smtp", Recipients: []string{"driver@example.test"},
				Message: []byte("From: alerts@acme.test\r\nSubject: x\r\n\r\nHello.\r\n"),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		after := func(d time.Duration) (*account.RelayHealth, store.Conservation) {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
			shown, err := a.Accounts.EmailSettings(t.Context(), op)
			if err != nil {
				t.Fatal(err)
			}
			counts, err := a.Store.Conservation(t.Context(), op)
			if err != nil {
				t.Fatal(err)
			}
			return shown.RelayHealth, counts
		}
		send()
		if health, counts := after(100 * time.Second); health != nil || counts.Queued != 1 {
			t.Errorf("after a hiccup: %+v, %+v", health, counts)
		}
		if health, _ := after(2 * time.Minute); health == nil || !strings.Contains(health.Reason, "connection refused") {
			t.Fatalf("after some minutes: %+v", health)
		}
		notice := sandbox(t, a, waypost.PlatformOperatorID, 1)[0]
		if notice.Recipient != "it@acme.test" || !strings.Contains(notice.Subject, "127.0.0.1") {
			t.Errorf("the notice: %+v", notice)
		}
		full, err := a.System.SandboxAny(t.Context(), notice.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(full.Data, []byte("connection refused")) {
			t.Errorf("the notice gives no reason:\n%s", full.Data)
		}
		send()
		health, counts := after(10 * time.Minute)
		if health == nil || counts.Queued != 2 || counts.Bounced+counts.Expired != 0 || !counts.Balanced {
			t.Errorf("mail waits: %+v, %+v", health, counts)
		}
		sandbox(t, a, waypost.PlatformOperatorID, 1)

		open()
		health, counts = after(25 * time.Minute) // by the schedule of the mail, the quarter of an hour is next
		if health != nil || counts.Delivered != 2 || !counts.Balanced {
			t.Errorf("once it answers: %+v, %+v", health, counts)
		}
		if n := len(server.Mails()); n != 2 {
			t.Errorf("%d mails arrived", n)
		}
		sandbox(t, a, waypost.PlatformOperatorID, 1)
	})
}

func TestMailThatComesBackToUsEndsAfterAFewRounds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	a := start(t, settings(t, "WAYPOST_SMTP_ADDR="+l.Addr().String(),
		"WAYPOST_GUARD_ALLOW=127.0.0.0/8", "WAYPOST_RELAY_PORTS="+strconv.Itoa(port)))
	op, key := operator(t, a.Base, "")
	_, err = a.Accounts.SaveEmail(t.Context(), waypost.CommandLine(), op, account.Update{
		Gateway: &account.GatewayUpdate{
			Type: waypost.GatewaySMTP, Host: "127.0.0.1", Port: port, Security: waypost.SecurityNone,
			Auth: &account.AuthUpdate{Username: "acme", Password: key},
		},
		From: "alerts@acme.test",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := submit(t, a, key, "driver@example.test", "round and round"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		counts, err := a.Store.Conservation(t.Context(), op)
		if err == nil && (counts.Bounced != 1 || counts.Accepted != 6 || counts.Delivered != 5) {
			err = fmt.Errorf("%+v", counts)
		}
		return err
	})
}

func TestTheOperatorIsToldOnceThatItsServerRefusesUs(t *testing.T) {
	relay := mailtest.StartSMTP(t, mailtest.Knobs{
		Users: map[string]string{"acme": "right"}, Mechanisms: []string{"PLAIN", "LOGIN"}, Lenient: true,
	})
	a := start(t, settings(t, "WAYPOST_GUARD_ALLOW=127.0.0.0/8", "WAYPOST_RELAY_PORTS="+strconv.Itoa(relay.Port())))
	op, key := operator(t, a.Base, "it@acme.test")
	wrong := "wrong-password"
	_, err := a.Accounts.SaveEmail(t.Context(), waypost.CommandLine(), op, account.Update{
		Gateway: &account.GatewayUpdate{
			Type: waypost.GatewaySMTP, Host: "127.0.0.1", Port: relay.Port(), Security: waypost.SecurityNone,
			Auth: &account.AuthUpdate{Username: "acme", Password: wrong},
		},
		From: "alerts@acme.test",
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := submit(t, a, key, fmt.Sprintf("driver%d@example.test", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	notice := sandbox(t, a, waypost.PlatformOperatorID, 1)[0]
	if notice.Recipient != "it@acme.test" || !strings.Contains(notice.Subject, "127.0.0.1") {
		t.Errorf("the notice: %+v", notice)
	}
	full, err := a.System.SandboxAny(t.Context(), notice.ID)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(full.Data, []byte(wrong)) {
		t.Error("the notice shows the password")
	}
	counts, err := a.Store.Conservation(t.Context(), op)
	if err != nil {
		t.Fatal(err)
	}
	if counts.Queued != 3 || counts.Bounced != 0 || !counts.Balanced {
		t.Errorf("mail of a failing server waits: %+v", counts)
	}
}
