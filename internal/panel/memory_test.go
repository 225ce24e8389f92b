package panel_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// stuck is a client that takes nothing until it is let go.
type stuck struct {
	*httptest.ResponseRecorder
	writing chan struct{} // something is there for it
	free    chan struct{}
}

// Write implements http.ResponseWriter.
func (s *stuck) Write(b []byte) (int, error) {
	select {
	case s.writing <- struct{}{}:
	default:
	}
	<-s.free
	return s.ResponseRecorder.Write(b)
}

// slowly asks for a page and takes nothing of it until the returned function is called,
// which returns the answer.
func (v *visitor) slowly(path string) func() *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequest(http.MethodGet, v.w.url+path, nil)
	r.RequestURI = path
	for _, c := range v.client.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	s := &stuck{ResponseRecorder: httptest.NewRecorder(), writing: make(chan struct{}, 1), free: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		v.w.handler.ServeHTTP(s, r)
	}()
	select {
	case <-s.writing:
	case <-time.After(20 * time.Second):
		v.t.Fatalf("%s: nothing came", path)
	}
	return func() *httptest.ResponseRecorder {
		close(s.free)
		<-done
		return s.ResponseRecorder
	}
}

// heavy is a mail of nearly a MiB with text, HTML and a file.
func heavy() string {
	lines := strings.Repeat("<p>"+strings.Repeat("0123456789", 7)+"</p>\n", 4000)
	return "From: fleet@example.com\nTo: driver@example.net\nSubject: heavy\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n" +
		"--b\nContent-Type: text/html\n\n" + lines + "\n--b\nContent-Type: application/pdf; name=a.pdf\n\n" + lines + "\n--b--\n"
}

func TestSlowReadersHoldOnlySoMuchMailInMemory(t *testing.T) {
	w := newWorld(t, func(o *panel.Options) { o.Memory = web.NewMemory(web.MemoryOptions{Wait: 20 * time.Millisecond}) })
	op, other := w.operator(t, "Acme"), w.operator(t, "Other")
	id := w.hand(t, op, heavy())
	w.until(t, op, id, waypost.Delivered)
	w.capture(t, op, heavy(), waypost.KindEvent)
	v, colleague := w.visitor(t, op, waypost.RoleAdmin), w.visitor(t, op, waypost.RoleViewer)
	boxed := v.open("/mailbox").boxed("/mailbox")[0]
	theirs := w.hand(t, other, heavy())
	whole := v.open("/messages/" + id + "/raw")
	for _, path := range []string{"/messages/" + id, boxed} {
		// Of a page nothing is held while its reader is slow.
		var views []func() *httptest.ResponseRecorder
		for range 4 {
			views = append(views, v.slowly(path))
		}
		for _, part := range []string{"/raw", "/preview?view=html", "/files/0"} {
			var slow []func() *httptest.ResponseRecorder
			for range 3 {
				slow = append(slow, v.slowly(path+part))
			}
			for _, busy := range []string{path, path + "/raw", path + "/preview?view=html", path + "/files/0"} {
				got := v.get(busy)
				got.wants("Very much stored mail is being read right now.")
				if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "5" {
					t.Errorf("%s beside three of %s: %d, %q", busy, part, got.status, got.header.Get("Retry-After"))
				}
			}
			if got := colleague.get(path + "/raw"); got.status != http.StatusOK {
				t.Errorf("a colleague gets %d", got.status)
			}
			for _, end := range slow {
				got := end()
				if part == "/raw" && strings.HasPrefix(path, "/messages") && (got.Body.String() != whole.body || got.Header().Get("Content-Length") != fmt.Sprint(len(whole.body))) {
					t.Errorf("%d bytes, want %d", got.Body.Len(), len(whole.body))
				}
			}
			v.open(path + part)
		}
		for _, end := range views {
			if got := end(); got.Code != http.StatusOK {
				t.Errorf("%s: %d", path, got.Code)
			}
		}
	}
	if got := v.post("/messages/"+id+"/resend", "to", "driver@example.net"); got.status != http.StatusSeeOther {
		t.Errorf("handed over again: %d", got.status)
	}
	w.visitor(t, other, waypost.RoleViewer).open("/messages/" + theirs + "/raw")
}
