package submit_test

import (
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestSuppressedRecipientsAreSetApart(t *testing.T) {
	w := newWorld(t, nil)
	w.suppress("Blocked@Example.test", waypost.SuppressedManual)
	s := submission()
	s.Recipients = []string{"someone@example.test", "bLOCKED@example.test"}
	r := w.mustAccept(s)
	if r.Deliveries[0].Status != waypost.Queued || r.Deliveries[0].Reason != "" || r.Deliveries[1].Status != waypost.Suppressed || r.Deliveries[1].Reason != "manual: because" {
		t.Fatalf("receipt %+v", r)
	}
	for _, d := range w.deliveries(r.ID) {
		if d.ID == r.Deliveries[0].ID && d.Lease != lease {
			t.Errorf("delivery %+v", d)
		}
		if d.ID == r.Deliveries[1].ID && (d.Lease != "" || d.Reason != "manual: because" || d.State != waypost.Suppressed) {
			t.Errorf("delivery %+v", d)
		}
	}
	events, err := w.db.Store.Events(t.Context(), "op", r.ID)
	if err != nil || len(events) != 2 {
		t.Fatalf("events %+v, %v", events, err)
	}
	if findings, err := w.db.System.Audit(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("the counters do not agree: %+v, %v", findings, err)
	}
}

func TestWhichSuppressionsStopWhat(t *testing.T) {
	for _, tt := range []struct {
		reason   waypost.SuppressionReason
		security waypost.State
	}{
		{waypost.SuppressedManual, waypost.Suppressed},
		{waypost.SuppressedHard, waypost.Suppressed},
		{waypost.SuppressedSoft, waypost.Queued},
		{waypost.SuppressedComplaint, waypost.Queued},
		{waypost.SuppressedUnsubscribe, waypost.Queued},
	} {
		w := newWorld(t, nil)
		w.suppress("someone@example.test", tt.reason)
		s := submission()
		s.Principal.Scopes = waypost.AllScopes()
		if got := w.mustAccept(s).Deliveries[0].Status; got != waypost.Suppressed {
			t.Errorf("%s: ordinary mail is %s", tt.reason, got)
		}
		s.Kind = waypost.KindSecurity
		if got := w.mustAccept(s).Deliveries[0].Status; got != tt.security {
			t.Errorf("%s: security mail is %s, want %s", tt.reason, got, tt.security)
		}
	}
}

func TestSecurityMailPassesOnlyIfNothingHardStandsBeside(t *testing.T) {
	w := newWorld(t, nil)
	w.suppress("someone@example.test", waypost.SuppressedComplaint)
	w.suppress("someone@example.test", waypost.SuppressedHard)
	s := submission()
	s.Kind, s.Principal.Scopes = waypost.KindSecurity, waypost.AllScopes()
	r := w.mustAccept(s)
	if r.Deliveries[0].Status != waypost.Suppressed {
		t.Fatalf("receipt %+v", r)
	}
	// Its only delivery is final, so its content is gone from the start.
	m := w.stored(r.ID)
	if len(m.Header)+len(m.Body) > 0 || m.Subject != "" {
		t.Errorf("kept: %q %q", m.Header, m.Body)
	}
}

func TestSuppressionsOfOthersStopNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.suppress("someone@example.test", waypost.SuppressedManual)
	w.accounts["other"] = newAccount("other")
	w.accounts["other"].Suppressions = true
	s := submission()
	s.Principal.OperatorID = "other"
	if got := w.mustAccept(s).Deliveries[0].Status; got != waypost.Queued {
		t.Errorf("status %s", got)
	}
}

func TestTestMailToASuppressedRecipientSaysSo(t *testing.T) {
	w := newWorld(t, nil)
	w.suppress("someone@example.test", waypost.SuppressedManual)
	s := submission()
	s.Kind, s.Once = waypost.KindTest, &waypost.Once{Account: w.accounts["op"]}
	before := w.rows()
	_, err := w.accept(s)
	refused(t, err, waypost.Invalid, "recipient_suppressed", "5.7.1")
	if w.rows() != before {
		t.Error("something was written")
	}
	w.settled(0, 0)
}
