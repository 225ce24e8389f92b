package submit_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestWhatWasAcceptedBeforeIsNotSignedTwiceAndIsInTheAuditLog(t *testing.T) {
	w := newWorld(t, nil)
	w.accounts["op"].Signature = waypost.Signature{Text: "Fleet Ltd"}
	first := w.mustAccept(submission())
	header, body, err := w.db.Store.Content(t.Context(), "op", first.ID)
	if err != nil || strings.Count(string(body), "Fleet Ltd") != 1 {
		t.Fatalf("%s, %v", body, err)
	}
	again := submission()
	again.Message = append(append([]byte{}, header...), body...)
	again.Again = &waypost.Again{Of: first.ID, By: waypost.Actor{ID: "user:u-1", Name: "anna", Peer: "192.0.2.9"}}
	second := w.mustAccept(again)
	_, sent, err := w.db.Store.Content(t.Context(), "op", second.ID)
	if err != nil || string(sent) != string(body) {
		t.Errorf("%q, %v", sent, err)
	}
	log, err := w.db.Store.AuditLog(t.Context(), "op", "", 0)
	if err != nil || len(log) != 1 {
		t.Fatalf("%+v, %v", log, err)
	}
	want := waypost.AuditEntry{
		ID: log[0].ID, OperatorID: "op", Actor: again.Again.By, Action: "message.resend", Target: "someone@example.test",
		Detail: waypost.NewDetail(waypost.DetailResent, "of", first.ID, "as", second.ID), At: log[0].At,
	}
	if log[0] != want {
		t.Errorf("%+v", log[0])
	}
}
