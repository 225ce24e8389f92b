package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// browser is a real one, with a profile of its own.
type browser struct {
	t    testing.TB
	ctx  context.Context //nolint:containedctx // chromedp's way to name a tab
	base string          // where the panel is
}

type step = chromedp.Action[chromedp.Void]

// startBrowser starts one that looks at a server. It ends with the test.
func startBrowser(t testing.TB, s *server) *browser {
	t.Helper()
	// Without the last ones its connections would wait for a network that may not be there.
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(tool(t, "chromium")), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900),
		chromedp.Flag("lang", "en-US"), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, base: "http://" + s.addr("http")}
	if err := chromedp.Do(ctx); err != nil { // starts it: it lives as long as the context of this call
		t.Fatal(err)
	}
	return b
}

// do runs steps, all of them within the tests' patience.
func (b *browser) do(steps ...step) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.text())
	}
}

// open goes to a path of the panel.
func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
}

// js evaluates an expression; the zero value stands for one that cannot be, for a page
// that is just being left.
func js[T any](b *browser, expression string) T {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		var zero T
		return zero
	}
	return v
}

// jsAwait evaluates an expression that promises a value.
func jsAwait[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.text())
	}
	return v
}

// text is where the browser is and what the page shows.
func (b *browser) text() string {
	return js[string](b, `location.href + "\n" + (document.body ? document.body.innerText : "")`)
}

// wait waits until the page shows all of some texts.
func (b *browser) wait(texts ...string) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for _, text := range texts {
		for !strings.Contains(b.text(), text) {
			select {
			case <-tick.C:
			case <-deadline:
				b.t.Fatalf("the page does not show %q:\n%s", text, b.text())
			}
		}
	}
}

// leave waits until the browser is at another path.
func (b *browser) leave(path string) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		if at := js[string](b, `document.readyState === "complete" ? location.pathname : ""`); at != "" && at != path {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("still at %s:\n%s", path, b.text())
		}
	}
}

// fill types into fields of a form: names and values.
func (b *browser) fill(pairs ...string) {
	b.t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		field := chromedp.CSS(`[name="` + pairs[i] + `"]`)
		b.do(chromedp.WaitVisible(field))
		js[string](b, fmt.Sprintf(`document.querySelector('[name=%q]').value = ""`, pairs[i]))
		b.do(chromedp.SendKeys(field, pairs[i+1]))
	}
}

// choose sets a select or a radio button, and tells the page.
func (b *browser) choose(name, value string) {
	b.t.Helper()
	if !js[bool](b, fmt.Sprintf(`(() => {
  const field = document.querySelector('select[name=%[1]q]') || document.querySelector('input[name=%[1]q][value=%[2]q]');
  if (!field) return false;
  if (field.tagName === 'SELECT') { field.value = %[2]q; field.dispatchEvent(new Event('change', {bubbles: true})); } else { field.click(); }
  return true;
})()`, name, value)) {
		b.t.Fatalf("there is no %s to choose:\n%s", name, b.text())
	}
}

// click presses what has a text and can be seen: a button, a link, or the head of what
// folds.
func (b *browser) click(text string) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for !js[bool](b, fmt.Sprintf(`(() => {
  for (const e of document.querySelectorAll("button, a, summary")) {
    if (e.innerText.trim().split("\n")[0].trim() === %q && e.offsetParent && !e.hasAttribute("aria-hidden")) { e.click(); return true; }
  }
  return false;
})()`, text)) {
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("there is no %q to press:\n%s", text, b.text())
		}
	}
}

// tick presses a checkbox.
func (b *browser) tick(name string) {
	b.t.Helper()
	box := chromedp.CSS(`input[name="` + name + `"]`)
	is := fmt.Sprintf(`document.querySelector('input[name=%q]').checked`, name)
	b.do(chromedp.WaitVisible(box))
	before := js[bool](b, is)
	for range 5 { // a page that is still moving may lie elsewhere than it was clicked at
		b.do(chromedp.Click(box, chromedp.NodeVisible))
		if js[bool](b, is) != before {
			return
		}
	}
	b.t.Fatalf("%s cannot be ticked:\n%s", name, b.text())
}

// value is what stands in a field.
func (b *browser) value(name string) string {
	return js[string](b, fmt.Sprintf(`document.querySelector('[name=%q]').value`, name))
}

// signIn signs a user in.
func (b *browser) signIn(login, password string) {
	b.t.Helper()
	b.open("/sign-in")
	b.fill("login", login, "password", password)
	b.click("Sign in")
	b.leave("/sign-in")
}

// user makes a user by the command line: an operator's, or the platform's for "".
func (in *installation) user(operatorID, login, role, password string) {
	in.t.Helper()
	file := filepath.Join(in.t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		in.t.Fatal(err)
	}
	whose := []string{"--platform"}
	if operatorID != "" {
		whose = []string{"--operator", operatorID}
	}
	if strings.Contains(login, "@") {
		whose = append(whose, "--email", login)
	}
	in.must(append([]string{"user", "create", "--login", login, "--role", role, "--password-file", file}, whose...)...)
}

// look sets width and colors, as of another device.
func (b *browser) look(width int64, dark bool) {
	b.t.Helper()
	theme := "light"
	if dark {
		theme = "dark"
	}
	b.do(chromedp.EmulateViewport(width, 900))
	if _, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{Name: "waypost_theme", Value: theme, URL: b.base}); err != nil {
		b.t.Fatal(err)
	}
}
