package panel_test

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// upload sends the form for files as browsers do.
func (v *visitor) upload(file string, pairs ...string) answer {
	v.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", "list.csv") // browsers send an empty one if none is chosen
	if err == nil {
		_, err = part.Write([]byte(file))
	}
	for i := 0; i < len(pairs); i += 2 {
		err = errors.Join(err, w.WriteField(pairs[i], pairs[i+1]))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		v.t.Fatal(err)
	}
	return v.do(http.MethodPost, "/suppressions/import", &form, "Content-Type", w.FormDataContentType())
}

func TestAFileIsTriedAndImported(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	const file = "address;reason\nA@x.example;unsubscribe\n<script>alert(1)</script>;manual\n"
	tried := v.upload(file, "row_reason", "manual", "try", "yes")
	tried.wants("This would happen. Nothing was changed yet.", "Added: 1. Last longer now: 0. There already: 0. Refused: 1.", "Not an e-mail address", "<script>alert(1)</script>")
	tried.lacks("choose it once more", "<script>alert")
	if got := w.suppressed(t, op); got != "" {
		t.Errorf("trying changed %s", got)
	}
	pasted := tried.value("list")
	if pasted != file {
		t.Errorf("the file does not come back for another click: %q", pasted)
	}
	v.upload("", "row_reason", "manual", "list", pasted).wants("The file was imported.", "Added: 1.", "a@x.example")
	if got := w.suppressed(t, op); got != "a@x.example unsubscribe  import" {
		t.Error(got)
	}
	v.upload("b@x.example\n", "row_reason", "complaint").wants("Added: 1.", "b@x.example", "Complained")
	v.open("/audit").wants("Imported suppressions", "1 row, refused: 1")
	large := strings.Repeat("c@x.example\n", 10000)
	v.upload(large, "try", "yes").wants("Added: 1.", "There already: 9,999.", "To import the file, choose it once more.")
}

func TestAFileThatIsNoneIsRefused(t *testing.T) {
	w := newWorld(t)
	op := w.operator(t, "Acme")
	v := w.visitor(t, op, waypost.RoleAdmin)
	for file, want := range map[string]string{
		"":                             "Choose a file, or paste addresses.",
		" \n":                          "Choose a file, or paste addresses.",
		"reason\nmanual\n":             "This is no table with a column called address",
		strings.Repeat("x", 5<<20+100): "The file is too large",
	} {
		got := v.upload(file)
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%.20q: %d", file, got.status)
		}
		got.wants(want)
	}
	if got := v.upload(strings.Repeat("x", 6<<20)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("far too large: %d", got.status)
	}
	if got := v.do(http.MethodPost, "/suppressions/import", strings.NewReader("x"), "Content-Type", "multipart/form-data; boundary=y"); got.status/100 != 4 {
		t.Errorf("a broken form: %d", got.status)
	}
	if got := w.visitor(t, op, waypost.RoleViewer).upload("a@x.example\n"); got.status != http.StatusForbidden {
		t.Errorf("by a viewer: %d", got.status)
	}
	if got := w.suppressed(t, op); got != "" {
		t.Error(got)
	}
}

func TestTheListIsExportedAsItIsShown(t *testing.T) {
	w := newWorld(t)
	op, other := w.operator(t, "Acme"), w.operator(t, "Other")
	for _, n := range []waypost.Suppression{
		{Address: "+a@x.example", Reason: waypost.SuppressedManual, Detail: "=1+1"},
		{Address: "b@x.example", Reason: waypost.SuppressedUnsubscribe, Kind: waypost.KindEvent, Expires: time.Now().Add(time.Hour)},
	} {
		if err := w.db.Store.AddSuppression(t.Context(), waypost.CommandLine(), op, n); err != nil {
			t.Fatal(err)
		}
	}
	v := w.visitor(t, op, waypost.RoleViewer)
	all := v.get("/suppressions.csv")
	if all.header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.HasPrefix(all.header.Get("Content-Disposition"), `attachment; filename="suppressions-`) {
		t.Errorf("%v", all.header)
	}
	lines := strings.Split(strings.TrimPrefix(all.body, "\ufeff"), "\r\n")
	if len(lines) != 4 || lines[0] != "address,reason,kind,detail,expires,created,hits,message_id,via" ||
		!strings.HasPrefix(lines[1], "'+a@x.example,manual,,'=1+1,never,") || !strings.HasPrefix(lines[2], "b@x.example,unsubscribe,event,,") {
		t.Errorf("%q", lines)
	}
	page := v.open("/suppressions?kind=event&find=b*")
	if link := `href="/suppressions.csv?find=b%2A&amp;kind=event"`; !strings.Contains(page.body, link) {
		t.Errorf("no %s", link)
	}
	if got := v.get("/suppressions.csv?find=b%2A&kind=event"); strings.Count(got.body, "\r\n") != 2 {
		t.Errorf("%q", got.body)
	}
	// What is exported here is imported there.
	thief := w.visitor(t, other, waypost.RoleAdmin)
	if got := thief.get("/suppressions.csv"); strings.Contains(got.body, "x.example") {
		t.Error("another operator's list")
	}
	thief.upload(all.body).wants("Added: 2.", "Refused: 0.")
	if got := w.suppressed(t, other); got != "+a@x.example manual  import, b@x.example unsubscribe event import" {
		t.Error(got)
	}
}
