//go:build pictures

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
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
