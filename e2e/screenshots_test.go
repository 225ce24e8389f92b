//go:build pictures

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestScreenshots takes pictures of all pages, in light, dark and the width of a phone,
// into the directory that WAYPOST_SCREENSHOTS names (make screenshots). Whether a page is
// one to live with is for people to see; what a program can see, the test of accessibility
// looks for.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("WAYPOST_SCREENSHOTS")
	if dir == "" {
		t.Fatal("WAYPOST_SCREENSHOTS names no directory: make screenshots")
	}
	l := liveIn(t)
	l.eachPage(func(p looked, open func()) {
		for _, look := range []struct {
			name  string
			width int64
			dark  bool
		}{{"light", 1280, false}, {"dark", 1280, true}, {"phone", 390, false}} {
			l.b.look(look.width, look.dark)
			open()
			l.b.shot(filepath.Join(dir, p.name+"-"+look.name+".png"))
		}
	})
}

// shot takes a picture of the whole page, as a window that shows all of it does.
func (b *browser) shot(file string) {
	b.t.Helper()
	width, height := js[float64](b, "innerWidth"), js[float64](b, "document.documentElement.scrollHeight")
	b.do(chromedp.EmulateViewport(int64(width), int64(max(height, 900))))
	// Frames come late, and say so once; one that came already says nothing.
	jsAwait[bool](b, `Promise.all([...document.querySelectorAll("iframe")].filter(f => f.offsetParent).map(f => new Promise(done => {
  f.addEventListener("load", done);
  setTimeout(done, 1000);
}))).then(() => true)`)
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
