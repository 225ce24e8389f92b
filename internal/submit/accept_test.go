package submit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/waypost"
)

func fields(t *testing.T, m *waypost.Message) *message.Header {
	t.Helper()
	h, err := message.ParseHeader(m.Header, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAcceptedMailIsStoredWithItsEditsOnly(t *testing.T) {
	w := newWorld(t, nil)
	w.accounts["op"].ReplyTo = "office@op.test"
	s := submission("Bcc: hidden@example.test", "X-Waypost-Tags: a, b", `X-Waypost-Metadata: {"unit":"4711"}`, "X-Unit:   4711\t ", "Idempotency-Key: k1")
	s.Recipients = []string{"someone@example.test", "Other@Example.TEST", `"quoted local"@example.test`, "a@münchen.test"}
	r := w.mustAccept(s)
	m := w.stored(r.ID)
	h := fields(t, m)
	for _, gone := range []string{"Bcc", "X-Waypost-Tags", "X-Waypost-Metadata", "Idempotency-Key"} {
		if h.Has(gone) {
			t.Errorf("%s is still there", gone)
		}
	}
	if got := h.Get("Message-ID"); got != "<"+r.ID+"@platform.test>" || m.HeaderID != got {
		t.Errorf("Message-ID %q, recorded %q", got, m.HeaderID)
	}
	if !strings.Contains(string(m.Header), "X-Unit:   4711\t \r\n") || h.Get("Reply-To") != "office@op.test" || h.Get("Date") == "" {
		t.Errorf("header %s", m.Header)
	}
	for _, part := range []string{"client.test", "192.0.2.1", "node.platform.test", "ESMTPSA", r.ID} {
		if !strings.Contains(h.Get("Received"), part) {
			t.Errorf("Received %q does not tell %s", h.Get("Received"), part)
		}
	}
	if string(m.Body) != usualBody {
		t.Errorf("body %q", m.Body)
	}
	size := len(m.Header) + len(m.Body)
	m = w.summary(r.ID)
	got := waypost.Message{
		From: m.From, Subject: m.Subject, Kind: m.Kind, Lane: m.Lane, MailFrom: m.MailFrom, Credential: m.Credential, Source: m.Source,
		Tags: m.Tags, Metadata: m.Metadata, Size: m.Size,
	}
	want := waypost.Message{
		From: waypost.Address{Name: "Alarm", Email: "alarm@op.test"}, Subject: "Geofence entered", Kind: waypost.KindOther,
		Lane: waypost.LaneTransactional, MailFrom: "bounces@op.test", Credential: "cred", Source: "smtp",
		Tags: []string{"a", "b"}, Metadata: map[string]string{"unit": "4711"}, Size: int64(size),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	sites := map[string]string{}
	for _, d := range w.deliveries(r.ID) {
		sites[d.Recipient] = d.Site
		want := waypost.ReceiptDelivery{ID: d.ID, MessageID: r.ID, To: d.Recipient, Status: waypost.Queued}
		if !slices.Contains(r.Deliveries, want) {
			t.Errorf("%+v is not in the receipt %+v", want, r)
		}
	}
	if diff := cmp.Diff(map[string]string{
		"someone@example.test": "example.test", "Other@Example.TEST": "example.test", `"quoted local"@example.test`: "example.test",
		"a@münchen.test": "xn--mnchen-3ya.test",
	}, sites); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"smtp"}, w.observed.sources); diff != "" {
		t.Error(diff)
	}
}

func TestSignatureIsAppended(t *testing.T) {
	w := newWorld(t, nil)
	w.accounts["op"].Signature = waypost.Signature{Text: "Op Fleet\nwww.op.test"}
	m := w.stored(w.mustAccept(submission()).ID)
	if got := string(m.Body); got != usualBody+"\r\n-- \r\nOp Fleet\r\nwww.op.test\r\n" {
		t.Errorf("body %q", got)
	}
	if m.Size != int64(len(m.Header)+len(m.Body)) {
		t.Errorf("size %d", m.Size)
	}
	signed := submission(`Content-Type: multipart/signed; boundary=b; protocol="application/pgp-signature"`, "MIME-Version: 1.0")
	body := "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n"
	signed.Message = []byte(strings.TrimSuffix(string(signed.Message), usualBody) + body)
	if got := string(w.stored(w.mustAccept(signed).ID).Body); got != body {
		t.Errorf("a signed mail was touched: %q", got)
	}
}

func TestFromPolicy(t *testing.T) {
	const foreign = "From: Somebody <a@evil.test>\r\nSender: a@evil.test\r\n\r\n"
	noDefault := func(a *waypost.Account) { a.Senders = a.Senders[:1] }
	tests := map[string]struct {
		account func(*waypost.Account)
		message string
		policy  waypost.FromPolicy
		want    waypost.Address
		sender  bool // Sender is still there
	}{
		"own":                          {nil, "From: X <alarm@op.test>\r\nSender: a@op.test\r\n\r\n", waypost.FromReplace, waypost.Address{Name: "X", Email: "alarm@op.test"}, true},
		"own, refuse":                  {nil, "From: ALARM@op.test\r\nSender: a@op.test\r\n\r\n", waypost.FromRefuse, waypost.Address{Email: "ALARM@op.test"}, true},
		"foreign":                      {nil, foreign, waypost.FromReplace, waypost.Address{Name: "Op Info", Email: "info@op.test"}, false},
		"foreign, no policy":           {nil, foreign, "", waypost.Address{Name: "Op Info", Email: "info@op.test"}, false},
		"foreign, nameless default":    {func(a *waypost.Account) { a.Senders[1].Name = "" }, foreign, "", waypost.Address{Name: "Op", Email: "info@op.test"}, false},
		"foreign, no default to use":   {noDefault, foreign, "", waypost.Address{Name: "Somebody", Email: "a@evil.test"}, true},
		"wildcard":                     {func(a *waypost.Account) { a.Senders[0].Address = "*@evil.test" }, foreign, waypost.FromRefuse, waypost.Address{Name: "Somebody", Email: "a@evil.test"}, true},
		"wildcard of the domain above": {func(a *waypost.Account) { a.Senders[0].Address = "*@test" }, foreign, "", waypost.Address{Name: "Op Info", Email: "info@op.test"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if tt.account != nil {
				tt.account(w.accounts["op"])
			}
			s := submission()
			s.Message, s.Principal.FromPolicy = []byte(tt.message), tt.policy
			m := w.stored(w.mustAccept(s).ID)
			h := fields(t, m)
			got, err := h.From()
			if err != nil || got != tt.want || m.From != tt.want {
				t.Errorf("From is %+v, recorded %+v, want %+v (%v)", got, m.From, tt.want, err)
			}
			if h.Has("Sender") != tt.sender || h.Has("Reply-To") {
				t.Errorf("header %s", m.Header)
			}
		})
	}
}

func TestPlatformKeepsItsFromUntilTheAttempt(t *testing.T) {
	w := newWorld(t, nil)
	w.accounts[waypost.PlatformOperatorID] = &waypost.Account{Operator: waypost.Operator{ID: waypost.PlatformOperatorID, Gateway: waypost.GatewayBuiltin}}
	s := submission()
	s.Principal = waypost.Principal{OperatorID: waypost.PlatformOperatorID, Scopes: []waypost.Scope{waypost.ScopeSend}}
	s.Source = "notice"
	if m := w.stored(w.mustAccept(s).ID); m.From.Email != "alarm@op.test" {
		t.Errorf("From %+v", m.From)
	}
}

func TestKindAndLane(t *testing.T) {
	type in struct {
		kind, byDefault waypost.Kind
		lane            waypost.Lane
		field           string
	}
	tests := map[string]struct {
		in   in
		kind waypost.Kind
		lane waypost.Lane
	}{
		"nothing said":                  {in{}, waypost.KindOther, waypost.LaneTransactional},
		"the credential's default":      {in{byDefault: waypost.KindReport}, waypost.KindReport, waypost.LaneReport},
		"the header before the default": {in{byDefault: waypost.KindReport, field: "X-Waypost-Kind: event"}, waypost.KindEvent, waypost.LaneTransactional},
		"the request before the header": {in{kind: waypost.KindBalance, field: "X-Waypost-Kind: event"}, waypost.KindBalance, waypost.LaneTransactional},
		"security is urgent by itself":  {in{kind: waypost.KindSecurity}, waypost.KindSecurity, waypost.LaneAlarm},
		"security may be slow":          {in{kind: waypost.KindSecurity, lane: waypost.LaneBulk}, waypost.KindSecurity, waypost.LaneBulk},
		"lane by header":                {in{field: "X-Waypost-Lane: bulk"}, waypost.KindOther, waypost.LaneBulk},
		"lane by request":               {in{lane: waypost.LaneReport, field: "X-Waypost-Lane: bulk"}, waypost.KindOther, waypost.LaneReport},
		"alarm when allowed":            {in{kind: waypost.KindEvent, lane: waypost.LaneAlarm}, waypost.KindEvent, waypost.LaneAlarm},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			s := submission()
			if tt.in.field != "" {
				s.Message = mail(tt.in.field)
			}
			s.Kind, s.Lane, s.Principal.DefaultKind = tt.in.kind, tt.in.lane, tt.in.byDefault
			s.Principal.Scopes = []waypost.Scope{waypost.ScopeSend, waypost.ScopeSecurity}
			if tt.in.lane == waypost.LaneAlarm {
				s.Principal.Scopes = append(s.Principal.Scopes, waypost.ScopeAlarm)
			}
			r := w.mustAccept(s)
			d := w.deliveries(r.ID)[0]
			if m := w.stored(r.ID); m.Kind != tt.kind || m.Lane != tt.lane || d.Kind != tt.kind || d.Lane != tt.lane {
				t.Errorf("message %s %s, delivery %s %s", m.Kind, m.Lane, d.Kind, d.Lane)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	const day = 24 * time.Hour
	w := newWorld(t, func(o *submit.Options) {
		o.Retention = submit.Retention{Content: 5 * day, Reports: 2 * day}
		o.Limits.Life, o.Limits.LongestLife = 3*day, 10*day
	})
	w.queue.full = true // so that next_at is what accepting says
	base := time.Now().Add(time.Hour).Truncate(time.Second)
	tests := map[string]struct {
		change               func(*waypost.Submission)
		next, expires, erase time.Duration // after base; next 0: at once
	}{
		"nothing said":     {nil, -time.Hour, 3*day - time.Hour, 5*day - time.Hour},
		"report":           {func(s *waypost.Submission) { s.Kind = waypost.KindReport }, -time.Hour, 3*day - time.Hour, 2*day - time.Hour},
		"sent later":       {func(s *waypost.Submission) { s.SendAt = base.Add(day) }, day, 4 * day, 6 * day},
		"sent in the past": {func(s *waypost.Submission) { s.SendAt = base.Add(-2 * day) }, -time.Hour, 3*day - time.Hour, 5*day - time.Hour},
		"expires":          {func(s *waypost.Submission) { s.ExpiresAt = base.Add(day) }, -time.Hour, day, 5*day - time.Hour},
		"expires too late": {func(s *waypost.Submission) { s.ExpiresAt = base.Add(100 * day) }, -time.Hour, 10*day - time.Hour, 5*day - time.Hour},
		"both, in headers": {func(s *waypost.Submission) {
			s.Message = mail("X-Waypost-Send-At: "+base.Add(day).UTC().Format(time.RFC3339), "X-Waypost-Expires-At: "+base.Add(2*day).UTC().Format(time.RFC3339))
		}, day, 2 * day, 6 * day},
		"request over mail": {func(s *waypost.Submission) {
			s.SendAt, s.Message = base.Add(day), mail("X-Waypost-Send-At: "+base.Add(2*day).UTC().Format(time.RFC3339))
		}, day, 4 * day, 6 * day},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := submission()
			if tt.change != nil {
				tt.change(&s)
			}
			r := w.mustAccept(s)
			d := w.deliveries(r.ID)[0]
			erase := waypost.FromMillis(w.db.Int(t, "SELECT erase_at FROM message WHERE id = $1", r.ID))
			near := func(what string, got time.Time, want time.Duration) {
				if off := got.Sub(base.Add(want)).Abs(); off > 10*time.Minute {
					t.Errorf("%s %v, off by %v", what, got, off)
				}
			}
			near("next_at", d.NextAt, tt.next)
			near("expires", d.Expires, tt.expires)
			near("erase_at", erase, tt.erase)
		})
	}
}

func TestHandoverIsWrittenAndStartedOnce(t *testing.T) {
	w := newWorld(t, nil)
	r := w.mustAccept(submission())
	w.settled(1, 0)
	d := w.deliveries(r.ID)[0]
	if d.Lease != lease || d.Epoch != 1 || d.Attempts != 1 || !d.NextAt.Equal(w.queue.retryAt) {
		t.Errorf("delivery %+v", d)
	}
	if q := w.queue; q.message.ID != r.ID || string(q.message.Body) != usualBody || q.account != w.accounts["op"] {
		t.Errorf("handed over: %+v", q.message)
	}
}

func TestWithoutHandoverItIsAnOrdinaryDueRow(t *testing.T) {
	w := newWorld(t, nil)
	w.queue.full = true
	r := w.mustAccept(submission())
	w.settled(1, 0) // Start tells the queue to look
	if d := w.deliveries(r.ID)[0]; d.Lease != "" || d.Attempts != 0 || d.NextAt.After(time.Now()) {
		t.Errorf("delivery %+v", d)
	}
}

func TestFailedCommitCancelsTheHandover(t *testing.T) {
	broken := errors.New("disk on fire")
	w := newWorld(t, func(o *submit.Options) { o.Store = failing{Store: o.Store, err: broken} })
	_, err := w.accept(submission())
	if !errors.Is(err, broken) || waypost.KindOf(err) != waypost.Internal {
		t.Errorf("error %v", err)
	}
	w.settled(0, 1)
}

func TestPanicWhileCommittingCancelsTheHandover(t *testing.T) {
	w := newWorld(t, func(o *submit.Options) { o.Store = failing{Store: o.Store, accept: func() { panic("x") }} })
	func() {
		defer func() { _ = recover() }()
		_, _ = w.accept(submission())
	}()
	w.settled(0, 1)
}

func TestEndOfContextWhileCommittingStrandsNothing(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	w.p = submit.New(submit.Options{
		Store: w.db.Store, Accounts: w.accounts, Queue: queueFunc(func() { cancel() }, w.queue), Hostname: "node.platform.test",
	})
	r, err := w.p.Accept(ctx, submission())
	if err != nil {
		t.Fatalf("the commit was given up: %v", err)
	}
	w.settled(1, 0)
	if d := w.deliveries(r.ID)[0]; d.Lease != lease {
		t.Errorf("delivery %+v", d)
	}
}

// queueFunc calls before each reservation.
func queueFunc(before func(), q submit.Queue) submit.Queue { return hooked{before, q} }

type hooked struct {
	before func()
	submit.Queue
}

func (h hooked) Reserve(a *waypost.Account, m *waypost.Message, d []waypost.Delivery, once *waypost.Once) (waypost.Handover, bool) {
	h.before()
	return h.Queue.Reserve(a, m, d, once)
}

func TestRepeatedRecipientsAreOneDelivery(t *testing.T) {
	w := newWorld(t, nil)
	s := submission()
	s.Recipients = []string{"a@example.test", "a@EXAMPLE.test", "A@example.test", "a@example.test", "x@münchen.test", "x@xn--mnchen-3ya.test"}
	r := w.mustAccept(s)
	var to []string
	for _, d := range r.Deliveries {
		to = append(to, d.To)
	}
	// Local parts that differ in case may be two people (RFC 5321 section 2.4).
	if want := []string{"a@example.test", "A@example.test", "x@münchen.test"}; !slices.Equal(to, want) {
		t.Errorf("recipients %q, want %q", to, want)
	}
}

func TestReceiptOfABatchNamesTheBatch(t *testing.T) {
	w := newWorld(t, nil)
	s := submission()
	s.BatchID = waypost.NewID()
	r := w.mustAccept(s)
	if r.ID != s.BatchID || r.Deliveries[0].MessageID == s.BatchID {
		t.Errorf("receipt %+v", r)
	}
	if m := w.summary(s.BatchID); m.ID != r.Deliveries[0].MessageID || m.BatchID != s.BatchID {
		t.Errorf("message %+v", m)
	}
}

func TestTestKeyGoesToTheSandboxWithoutAnyGateway(t *testing.T) {
	w := newWorld(t, nil)
	w.accounts["op"].Gateway = ""
	s := submission()
	s.Principal.Test = true
	r := w.mustAccept(s)
	if d := w.deliveries(r.ID)[0]; d.Site != waypost.TestSite+"example.test" || !w.stored(r.ID).Test {
		t.Errorf("delivery %+v", d)
	}
}

func TestPlatformCredentialSendsForTheOperatorItNames(t *testing.T) {
	w := newWorld(t, nil)
	platform := waypost.Principal{CredentialID: "platform", Platform: true, Scopes: waypost.DefaultScopes()}
	byHeader, byLogin, both := submission("X-Waypost-Operator: op"), submission(), submission("X-Waypost-Operator: op")
	byHeader.Principal, byLogin.Principal, both.Principal = platform, platform, platform
	byLogin.Principal.OperatorID, both.Principal.OperatorID = "op", "op"
	for _, s := range []waypost.Submission{byHeader, byLogin, both} {
		if m := w.stored(w.mustAccept(s).ID); m.OperatorID != "op" || strings.Contains(string(m.Header), "X-Waypost") {
			t.Errorf("operator %q, header %s", m.OperatorID, m.Header)
		}
	}
	own := submission("X-Waypost-Operator: op") // naming oneself is fine
	w.mustAccept(own)
}

func TestSecurityMailOfASuspendedOperatorIsAccepted(t *testing.T) {
	w := newWorld(t, nil)
	w.accounts["op"].Suspended = true
	s := submission()
	s.Kind, s.Principal.Scopes = waypost.KindSecurity, waypost.AllScopes()
	w.mustAccept(s)
}

func TestNeedForSMTPUTF8IsWhatTheClientSaid(t *testing.T) {
	w := newWorld(t, nil)
	for protocol, want := range map[string]bool{"UTF8SMTPSA": true, "ESMTPSA": false, "UTF8HTTP": true} {
		s := submission("X-Place: Zürich")
		s.Protocol = protocol
		if m := w.stored(w.mustAccept(s).ID); m.HeaderUTF8 != want || !m.EightBit {
			t.Errorf("%s: %v, 8-bit %v", protocol, m.HeaderUTF8, m.EightBit)
		}
	}
	bad := submission("X-Place: Z\xfcrich")
	bad.Protocol = "UTF8SMTP"
	if m := w.stored(w.mustAccept(bad).ID); m.HeaderUTF8 || !m.EightBit {
		t.Error("a header that is not UTF-8 is declared as such")
	}
}

func TestTestMailUsesTheSettingsUnderTest(t *testing.T) {
	w := newWorld(t, nil)
	tested := newAccount("op")
	tested.Signature = waypost.Signature{Text: "signature under test"}
	tested.Senders = []waypost.Sender{{Address: "new@op.test", State: waypost.SenderRequested, Default: true}}
	s := submission()
	s.Message = []byte("From: new@op.test\r\n\r\nhello\r\n")
	s.Principal.Scopes = []waypost.Scope{waypost.ScopeSettings}
	s.Kind, s.Once = waypost.KindTest, &waypost.Once{Account: tested}
	w.accounts["op"].Gateway = ""
	m := w.stored(w.mustAccept(s).ID)
	if m.From.Email != "new@op.test" || !strings.Contains(string(m.Body), "signature under test") {
		t.Errorf("From %v, body %q", m.From, m.Body)
	}
	if w.queue.account != tested || w.queue.once != s.Once {
		t.Error("the queue got other settings")
	}
	w.settled(1, 0)
}

func TestEventsNameWhoHandedTheMailOver(t *testing.T) {
	w := newWorld(t, nil)
	for want, change := range map[string]func(*waypost.Submission){
		"credential:cred": func(*waypost.Submission) {},
		"notice":          func(s *waypost.Submission) { s.Principal.CredentialID, s.Source = "", "notice" },
		"user:u-1": func(s *waypost.Submission) {
			s.Principal = waypost.Principal{UserID: "u-1", OperatorID: "op"}
			s.Kind, s.Once = waypost.KindTest, &waypost.Once{Account: newAccount("op")}
		},
	} {
		s := submission()
		change(&s)
		id := w.mustAccept(s).ID
		events, err := w.db.Store.Events(t.Context(), "op", id)
		if err != nil || len(events) != 1 || events[0].Type != waypost.EventAccepted || events[0].Actor != want {
			t.Errorf("%s: %+v, %v", want, events, err)
		}
	}
	s := submission() // a person too sends for its own operator only
	s.Principal, s.OperatorID = waypost.Principal{UserID: "u-1", OperatorID: "other"}, "op"
	s.Kind, s.Once = waypost.KindTest, &waypost.Once{Account: newAccount("op")}
	_, err := w.accept(s)
	refused(t, err, waypost.Forbidden, "operator_not_allowed", "5.7.1")
}

func TestTestMailIsRefusedWhenTheQueueDoesNotTakeIt(t *testing.T) {
	w := newWorld(t, nil)
	w.queue.full = true
	s := submission()
	s.Kind, s.Once = waypost.KindTest, &waypost.Once{Account: newAccount("op")}
	before := w.rows()
	_, err := w.accept(s)
	refused(t, err, waypost.Unavailable, "busy", "")
	if w.rows() != before {
		t.Error("something was written")
	}
	w.settled(0, 1)
}

// An operator's server that hands a mail back to us, for another of its recipients, adds
// nothing but trace fields.
func TestMailThatComesBackIsAcceptedAFewTimes(t *testing.T) {
	w := newWorld(t, nil)
	s := submission()
	for round := range 6 {
		m := w.stored(w.mustAccept(s).ID)
		if n := fields(t, m).Count("Received"); n != round+1 {
			t.Fatalf("%d trace fields after round %d:\n%s", n, round+1, m.Header)
		}
		s.Message = slices.Concat(m.Header, m.Body)
	}
	_, err := w.accept(s)
	refused(t, err, waypost.Invalid, "routing_loop", "5.4.6")
}
