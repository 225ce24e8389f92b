package submit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/waypost"
)

func TestRefusalsLeaveNothingBehind(t *testing.T) {
	const (
		invalid, forbidden, tooLarge = waypost.Invalid, waypost.Forbidden, waypost.TooLarge
		noGateway                    = waypost.NoGateway
	)
	received := strings.TrimSuffix(strings.Repeat("Received: from a by b; Sat, 31 Jan 2026 08:00:00 +0000\r\n", 51), "\r\n")
	now := time.Now()
	tests := map[string]struct {
		change func(w *world, s *waypost.Submission)
		kind   waypost.ErrorKind
		code   string
		smtp   string
	}{
		"no header":             {func(_ *world, s *waypost.Submission) { s.Message = []byte("\r\nhello\r\n") }, invalid, "bad_from", "5.6.0"},
		"empty":                 {func(_ *world, s *waypost.Submission) { s.Message = nil }, invalid, "bad_from", "5.6.0"},
		"line that is no field": {func(_ *world, s *waypost.Submission) { s.Message = mail("what is this") }, invalid, "bad_header", "5.6.0"},
		"bare LF":               {func(_ *world, s *waypost.Submission) { s.Message = append(mail(), "a\nb\r\n"...) }, invalid, "bad_line_end", "5.6.11"},
		"bare CR":               {func(_ *world, s *waypost.Submission) { s.Message = append(mail(), "a\rb\r\n"...) }, invalid, "bad_line_end", "5.6.11"},
		"NUL":                   {func(_ *world, s *waypost.Submission) { s.Message = append(mail(), "a\x00b\r\n"...) }, invalid, "bad_line_end", "5.6.11"},
		"too big":               {func(_ *world, s *waypost.Submission) { s.Message = append(mail(), make([]byte, 1<<20)...) }, tooLarge, "message_too_large", "5.3.4"},
		"100,000 headers": {
			func(_ *world, s *waypost.Submission) {
				s.Message = mail(strings.TrimSuffix(strings.Repeat("X: y\r\n", 100_000), "\r\n"))
			},
			tooLarge, "header_too_large", "5.3.4",
		},
		"2,000 headers": {
			func(_ *world, s *waypost.Submission) {
				s.Message = mail(strings.TrimSuffix(strings.Repeat("X: y\r\n", 2000), "\r\n"))
			},
			tooLarge, "header_too_large", "5.3.4",
		},
		"routing loop": {func(_ *world, s *waypost.Submission) { s.Message = mail(received) }, invalid, "routing_loop", "5.4.6"},
		"routing loop through us": {func(_ *world, s *waypost.Submission) {
			s.Message = mail(slices.Repeat([]string{"Received: from a ([192.0.2.1]) by Node.platform.test with ESMTPSA id 1; x"}, 6)...)
		}, invalid, "routing_loop", "5.4.6"},
		"no From":         {func(_ *world, s *waypost.Submission) { s.Message = []byte("Subject: x\r\n\r\n") }, invalid, "bad_from", "5.6.0"},
		"two From fields": {func(_ *world, s *waypost.Submission) { s.Message = mail("From: other@op.test") }, invalid, "bad_from", "5.6.0"},
		"From of two":     {func(_ *world, s *waypost.Submission) { s.Message = []byte("From: a@op.test, b@op.test\r\n\r\n") }, invalid, "bad_from", "5.6.0"},
		"From of nobody":  {func(_ *world, s *waypost.Submission) { s.Message = []byte("From: nobody\r\n\r\n") }, invalid, "bad_from", "5.6.0"},
		"foreign From, refused by policy": {func(_ *world, s *waypost.Submission) {
			s.Principal.FromPolicy, s.Message = waypost.FromRefuse, []byte("From: a@evil.test\r\n\r\n")
		}, forbidden, "from_not_allowed", "5.7.1"},
		"From of the platform on an own server": {func(w *world, s *waypost.Submission) {
			s.Message = []byte("From: a@sub.platform.test\r\n\r\n")
			a := *w.accounts["op"]
			a.Gateway, a.Senders = waypost.GatewaySMTP, nil
			w.accounts["op"] = &a
		}, forbidden, "from_not_allowed", "5.7.1"},
		"gateway taken from the product": {func(w *world, _ *waypost.Submission) {
			a := *w.accounts["op"]
			a.Withdrawn = true
			w.accounts["op"] = &a
		}, waypost.NoGateway, "no_gateway", ""},
		"control that is not understood": {func(_ *world, s *waypost.Submission) { s.Message = mail("X-Waypost-Kind: whatever") }, invalid, "bad_control", "5.6.0"},
		"control twice":                  {func(_ *world, s *waypost.Submission) { s.Message = mail("X-Waypost-Tags: a", "X-Waypost-Tags: b") }, invalid, "bad_control", "5.6.0"},
		"no recipients":                  {func(_ *world, s *waypost.Submission) { s.Recipients = nil }, invalid, "no_recipients", "5.5.1"},
		"too many recipients": {func(_ *world, s *waypost.Submission) {
			for n := range 1001 {
				s.Recipients = append(s.Recipients, fmt.Sprintf("u%d@example.test", n))
			}
		}, tooLarge, "too_many_recipients", "5.5.3"},
		"recipient that is no address":    {func(_ *world, s *waypost.Submission) { s.Recipients = []string{"fine@example.test", "nobody"} }, invalid, "invalid_recipient", "5.1.3"},
		"control character in an address": {func(_ *world, s *waypost.Submission) { s.Recipients = []string{"a\r\nRCPT TO:<b>@example.test"} }, invalid, "invalid_recipient", "5.1.3"},
		"recipient domain that cannot be": {func(_ *world, s *waypost.Submission) { s.Recipients = []string{"a@xn--\u00ad.test"} }, invalid, "invalid_recipient", "5.1.3"},
		"no scope to send":                {func(_ *world, s *waypost.Submission) { s.Principal.Scopes = []waypost.Scope{waypost.ScopeRead} }, forbidden, "scope_missing", "5.7.1"},
		"security without its scope":      {func(_ *world, s *waypost.Submission) { s.Kind = waypost.KindSecurity }, forbidden, "scope_missing", "5.7.1"},
		"security by header":              {func(_ *world, s *waypost.Submission) { s.Message = mail("X-Waypost-Kind: security") }, forbidden, "scope_missing", "5.7.1"},
		"security by default":             {func(_ *world, s *waypost.Submission) { s.Principal.DefaultKind = waypost.KindSecurity }, forbidden, "scope_missing", "5.7.1"},
		"alarm without its scope":         {func(_ *world, s *waypost.Submission) { s.Lane = waypost.LaneAlarm }, forbidden, "scope_missing", "5.7.1"},
		"alarm by header":                 {func(_ *world, s *waypost.Submission) { s.Message = mail("X-Waypost-Lane: alarm") }, forbidden, "scope_missing", "5.7.1"},
		"kind test is ours":               {func(_ *world, s *waypost.Submission) { s.Kind = waypost.KindTest }, invalid, "kind_reserved", "5.6.0"},
		"no gateway":                      {func(w *world, _ *waypost.Submission) { w.accounts["op"].Gateway = "" }, noGateway, "no_gateway", ""},
		"suspended":                       {func(w *world, _ *waypost.Submission) { w.accounts["op"].Suspended = true }, noGateway, "operator_suspended", ""},
		"suspended, test key": {func(w *world, s *waypost.Submission) {
			w.accounts["op"].Suspended, s.Principal.Test = true, true
		}, noGateway, "operator_suspended", ""},
		"send_at too far ahead":    {func(_ *world, s *waypost.Submission) { s.SendAt = now.Add(31 * 24 * time.Hour) }, invalid, "invalid", "5.6.0"},
		"expires_at has passed":    {func(_ *world, s *waypost.Submission) { s.ExpiresAt = now.Add(-time.Second) }, invalid, "invalid", "5.6.0"},
		"expires_at in the header": {func(_ *world, s *waypost.Submission) { s.Message = mail("X-Waypost-Expires-At: 2020-01-01T00:00:00Z") }, invalid, "invalid", "5.6.0"},
		"expires before it is sent": {func(_ *world, s *waypost.Submission) {
			s.SendAt, s.ExpiresAt = now.Add(2*time.Hour), now.Add(time.Hour)
		}, invalid, "invalid", "5.6.0"},
		"operator of others by header":  {func(_ *world, s *waypost.Submission) { s.Message = mail("X-Waypost-Operator: other") }, forbidden, "operator_not_allowed", "5.7.1"},
		"operator of others by request": {func(_ *world, s *waypost.Submission) { s.OperatorID = "other" }, forbidden, "operator_not_allowed", "5.7.1"},
		"platform credential that names none": {func(_ *world, s *waypost.Submission) {
			s.Principal.Platform, s.Principal.OperatorID = true, ""
		}, invalid, "operator_missing", "5.6.0"},
		"platform credential that names nobody": {func(_ *world, s *waypost.Submission) {
			s.Principal.Platform, s.Principal.OperatorID, s.Message = true, "", mail("X-Waypost-Operator: nobody")
		}, forbidden, "operator_unknown", "5.7.1"},
		"platform credential that names two": {func(_ *world, s *waypost.Submission) {
			s.Principal.Platform, s.Message = true, mail("X-Waypost-Operator: other")
		}, invalid, "operator_ambiguous", "5.6.0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *submit.Options) { o.Limits.Size = 1 << 20 })
			w.accounts["other"] = newAccount("other")
			s := submission()
			s.IdempotencyKey = "key"
			tt.change(w, &s)
			before := w.rows()
			_, err := w.accept(s)
			refused(t, err, tt.kind, tt.code, tt.smtp)
			if after := w.rows(); after != before {
				t.Errorf("before: %s\nafter:  %s", before, after)
			}
			w.settled(0, 0)
			if len(w.observed.sources) > 0 {
				t.Error("counted as accepted")
			}
		})
	}
}

func TestFullDiskRefusesForTheMoment(t *testing.T) {
	full := true
	w := newWorld(t, func(o *submit.Options) { o.Full = func() bool { return full } })
	before := w.rows()
	_, err := w.accept(submission())
	refused(t, err, waypost.StorageFull, "storage_full", "")
	if w.rows() != before {
		t.Error("something was written")
	}
	full = false
	w.mustAccept(submission())
}

func TestRateOfACredential(t *testing.T) {
	w := newWorld(t, func(o *submit.Options) { o.Limits.PerMinute = 3 })
	for range 3 {
		w.mustAccept(submission())
	}
	before := w.rows()
	_, err := w.accept(submission())
	refused(t, err, waypost.RateLimited, "rate_limited", "")
	if w.rows() != before {
		t.Error("something was written")
	}
	other := submission()
	other.Principal.CredentialID = "another"
	w.mustAccept(other)
	notice := submission()
	notice.Principal.CredentialID = ""
	for range 5 {
		w.mustAccept(notice)
	}
}

func TestLargestMessageIsAccepted(t *testing.T) {
	limit := int64(len(mail()) + 1000)
	w := newWorld(t, func(o *submit.Options) { o.Limits.Size = limit })
	if w.p.MaxSize() != limit {
		t.Errorf("limit %d", w.p.MaxSize())
	}
	s := submission()
	s.Message = append(s.Message, strings.Repeat("x", 1000)...)
	w.mustAccept(s)
	s.Message = append(s.Message, 'x')
	_, err := w.accept(s)
	refused(t, err, waypost.TooLarge, "message_too_large", "5.3.4")
}

func TestAThousandRecipientsAreAccepted(t *testing.T) {
	w := newWorld(t, nil)
	s := submission()
	s.Recipients = nil
	for n := range 1000 {
		s.Recipients = append(s.Recipients, fmt.Sprintf("u%d@example.test", n))
	}
	if got := w.mustAccept(s); len(got.Deliveries) != 1000 {
		t.Errorf("%d deliveries", len(got.Deliveries))
	}
}
