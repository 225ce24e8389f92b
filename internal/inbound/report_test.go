package inbound

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/waypost"
)

// crlf is a mail as it arrives.
func crlf(text string) []byte {
	return []byte(strings.ReplaceAll(strings.TrimPrefix(text, "\n"), "\n", "\r\n"))
}

// statusReport is a report with status groups.
func statusReport(groups string) []byte {
	return crlf(`
From: MAILER-DAEMON@mx.site.test (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b/1"

--b/1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b/1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.site.test
Arrival-Date: Mon, 1 Jun 2026 10:00:00 +0000

` + groups + `
--b/1
Content-Type: message/rfc822

Return-Path: <b-xyz@bounce.platform.test>
Message-ID: <one@platform.test>
Subject: Truck 7
X-Failed-Recipients: not@this.one

550 5.1.1 a sentence of ours
--b/1--
`)
}

// The forms in which mail programs report, each with words of its own.
func TestReportsOfTheWorldAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		raw    []byte
		sender string
		want   Sort
		reply  waypost.Reply
		final  string
	}{
		"Postfix": {
			raw: statusReport(`Final-Recipient: rfc822; driver@site.test
Original-Recipient: rfc822;driver@site.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.site.test
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does
    not exist. Please try 550-5.1.1 double-checking the address. 550 5.1.1 Learn more
`), want: SortBounce, final: "driver@site.test",
			reply: waypost.Reply{Code: 550, Enhanced: "5.1.1", Text: "The email account that you tried to reach does not exist. Please try double-checking the address. Learn more"},
		},
		"a status with a comment and no words": {
			raw:  statusReport("Final-Recipient: RFC822; driver@site.test\nAction: Failed\nStatus: 5.2.2 (mailbox full)\n"),
			want: SortBounce, final: "driver@site.test", reply: waypost.Reply{Enhanced: "5.2.2"},
		},
		"still trying":     {raw: statusReport("Final-Recipient: rfc822; driver@site.test\nAction: delayed\nStatus: 4.4.1\nWill-Retry-Until: tomorrow\n"), want: SortDelay, final: "driver@site.test", reply: waypost.Reply{Enhanced: "4.4.1"}},
		"delivered":        {raw: statusReport("Final-Recipient: rfc822; driver@site.test\nAction: relayed\nStatus: 2.0.0\n"), want: SortReceipt, final: "driver@site.test", reply: waypost.Reply{Enhanced: "2.0.0"}},
		"with a sender":    {raw: statusReport("Final-Recipient: rfc822; driver@site.test\nAction: failed\nStatus: 5.1.1\n"), sender: "noreply@challenger.test", want: SortAnswer, final: "driver@site.test", reply: waypost.Reply{Enhanced: "5.1.1"}},
		"lines between":    {raw: statusReport("\n\n   \nnot a field at all\nFinal-Recipient: rfc822; <driver@site.test>\nAction: failed\nStatus: 5.1.1\n\n\n"), want: SortBounce, final: "driver@site.test", reply: waypost.Reply{Enhanced: "5.1.1"}},
		"no end":           {raw: bytes.TrimSuffix(statusReport("Final-Recipient: rfc822; driver@site.test\nAction: failed\nStatus: 5.1.1\n"), []byte("--b/1--\r\n")), want: SortBounce, final: "driver@site.test", reply: waypost.Reply{Enhanced: "5.1.1"}},
		"as a mailbox has": {raw: append([]byte("From MAILER-DAEMON Mon Jun  1 10:00:00 2026\r\n"), statusReport("Final-Recipient: rfc822; driver@site.test\nAction: failed\nStatus: 5.1.1\n")...), want: SortBounce, final: "driver@site.test", reply: waypost.Reply{Enhanced: "5.1.1"}},
		"qmail": {
			raw: crlf(`
From: MAILER-DAEMON@qmail.site.test
Subject: failure notice

Hi. This is the qmail-send program at qmail.site.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<driver@site.test>:
192.0.2.153 does not like recipient.
Remote host said: 550 5.1.1 <driver@site.test>... User Unknown
Giving up on 192.0.2.153.

--- Below this line is a copy of the message.

Subject: 552 5.2.2 over quota
`), want: SortBounce, reply: waypost.Reply{Code: 550, Enhanced: "5.1.1", Text: "<driver@site.test>... User Unknown"},
		},
		"Exim of old": {
			raw: crlf(`
From: Mail Delivery System <Mailer-Daemon@exim.site.test>
Auto-Submitted: auto-replied
X-Failed-Recipients: driver@site.test
Subject: Mail delivery failed: returning message to sender

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  driver@site.test
    host mx.site.test [192.0.2.153]: 550 5.2.1 <driver@site.test>... disabled

------ This is a copy of the message, including all the headers. ------
`), want: SortBounce, final: "driver@site.test", reply: waypost.Reply{Code: 550, Enhanced: "5.2.1", Text: "<driver@site.test>... disabled"},
		},
		"a warning of old": {
			raw: crlf(`
From: MAILER-DAEMON@site.test
Subject: Warning: message delayed 24 hours

This message has not been delivered yet. 450 4.2.0 busy. You do not need to resend it.
`), want: SortDelay,
		},
		"a person without a sender who will keep trying": {
			raw: crlf(`
From: Ann <driver@site.test>
Subject: Truck 7

I will keep trying.
`), want: SortOther,
		},
		"out of office": {
			raw: crlf(`
From: Ann <driver@site.test>
Subject: Abwesenheitsnotiz: Truck 7
Auto-Submitted: auto-replied

Ich bin bis 550 Uhr nicht da.
`), want: SortAnswer,
		},
		"a person": {
			raw: crlf(`
From: Ann <driver@site.test>
Subject: Re: Truck 7 could not be delivered

Who are you? I got "550 5.1.1 User unknown".
`), sender: "driver@site.test", want: SortOther,
		},
		"read": {
			raw: crlf(`
Content-Type: multipart/report; report-type=disposition-notification; boundary=b

--b
Content-Type: message/disposition-notification

Final-Recipient: rfc822; driver@site.test
Disposition: manual-action/MDN-sent-manually; displayed
--b--
`), want: SortReceipt,
		},
		"a challenge dressed as a report": {
			raw: crlf(`
Subject: Re: Truck 7 (Action Required)
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

Please verify that you are a person.
--b
Content-Type: message/delivery-status

Final-Recipient: rfc822; driver@site.test
Action: failed
Status: 4.7.0
--b--
`), want: SortAnswer, final: "driver@site.test", reply: waypost.Reply{Enhanced: "4.7.0"},
		},
		"nothing": {raw: nil, want: SortOther},
	} {
		got := ParseReport(c.raw, c.sender)
		final, reply := "", waypost.Reply{}
		if len(got.Recipients) > 0 {
			final, reply = got.Recipients[0].Final, got.Recipients[0].Reply
		}
		if got.Sort != c.want || final != c.final || reply != c.reply {
			t.Errorf("%s: %s %q %+v", name, got.Sort, final, reply)
		}
	}
}

// feedbackReport is a complaint, or a report of another type.
func feedbackReport(kind, path string) []byte {
	return crlf(`
Subject: FW: Truck 7
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

This is an abuse report.
--b
Content-Type: message/feedback-report

User-Agent: Feedback/1.0
Feedback-Type: ` + kind + `
Version: 1
Original-Mail-From: <` + path + `>
--b
Content-Type: message/rfc822

Return-Path: <` + path + `>
Message-ID: <one@platform.test>

Hello
--b--
`)
}

func TestOnlyComplaintsCountAmongFeedbackReports(t *testing.T) {
	for kind, want := range map[string]Sort{
		"abuse": SortComplaint, "Fraud": SortComplaint, "opt-out": SortComplaint, "not-spam": SortFeedback, "auth-failure": SortFeedback, "x-new": SortFeedback,
	} {
		got := ParseReport(feedbackReport(kind, "b-1@bounce.platform.test"), "feedback@site.test")
		if got.Sort != want || got.Feedback != strings.ToLower(kind) || !cmp.Equal(got.ReturnPaths, []string{"b-1@bounce.platform.test", "b-1@bounce.platform.test"}) {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}

func TestAReportCountsForTheRecipientOfItsReturnPathOnly(t *testing.T) {
	rules := classify.BuiltIn()
	gone := func(final string) Reported {
		return Reported{Final: final, Action: "failed", Reply: waypost.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}}
	}
	for name, c := range map[string]struct {
		recipients []Reported
		want       waypost.SuppressionReason
		none       bool
	}{
		"the recipient":                    {recipients: []Reported{gone("Driver@SITE.test")}, want: waypost.SuppressedHard},
		"among others":                     {recipients: []Reported{gone("a@list.test"), gone("driver@site.test")}, want: waypost.SuppressedHard},
		"a list's members":                 {recipients: []Reported{gone("a@list.test"), gone("b@list.test")}, none: true},
		"somewhere it was forwarded to":    {recipients: []Reported{gone("me@elsewhere.test")}, want: waypost.SuppressedSoft},
		"a server that names nobody":       {recipients: []Reported{gone("")}, want: waypost.SuppressedHard},
		"given up, but temporary":          {recipients: []Reported{{Final: "driver@site.test", Action: "failed", Reply: waypost.Reply{Enhanced: "4.4.7", Text: "delivery time expired"}}}},
		"blocked":                          {recipients: []Reported{{Final: "driver@site.test", Action: "failed", Reply: waypost.Reply{Code: 550, Enhanced: "5.1.1", Text: "mailbox unavailable, your IP is on our block list"}}}},
		"full":                             {recipients: []Reported{{Final: "driver@site.test", Action: "failed", Reply: waypost.Reply{Enhanced: "5.2.2"}}}, want: waypost.SuppressedSoft},
		"the other one of two is still on": {recipients: []Reported{{Final: "driver@site.test", Action: "delayed"}}, none: true},
	} {
		r := Report{Sort: SortBounce, Recipients: c.recipients}
		f, ok := r.about("driver@site.test", rules)
		if ok == c.none || f.Symptom != c.want {
			t.Errorf("%s: %+v, %v", name, f, ok)
		}
	}
}

// owner is what the owner has chosen.
type owner waypost.ReturnPathSettings

func (o owner) Platform(context.Context) (waypost.PlatformSettings, error) {
	return waypost.PlatformSettings{ReturnPath: waypost.ReturnPathSettings(o)}, nil
}

// book is a Book in memory.
type book struct {
	recipients map[string]string // by delivery
	got        []waypost.Feedback
	fail       error
}

func (b *book) FeedbackRecipient(_ context.Context, id string) (string, error) {
	to, ok := b.recipients[id]
	if !ok {
		return "", waypost.NewError(waypost.NotFound, "not_found", "")
	}
	return to, b.fail
}

func (b *book) Feedback(_ context.Context, f waypost.Feedback) (bool, error) {
	b.got = append(b.got, f)
	return true, b.fail
}

func TestMailToAReturnPathIsRecordedRefusedOrForgotten(t *testing.T) {
	id := waypost.NewID()
	m := newMailbox(zones{})
	b := &book{recipients: map[string]string{id: "driver@site.test"}}
	m.Book, m.Rules = b, classify.BuiltIn()
	m.Settings = owner{Courtesy: "please call us"}
	path := m.ReturnPath.Address(id)
	receive := func(to, from string, raw []byte) error {
		t.Helper()
		if err := m.Recipient(t.Context(), to, nil); err != nil {
			t.Fatal(err)
		}
		return m.Receive(t.Context(), []string{to}, Arrival{Peer: peer(), MailFrom: from, Data: raw, At: time.Now()})
	}
	failed := statusReport("Final-Recipient: rfc822; driver@site.test\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n")
	if err := receive(path, "", failed); err != nil || len(b.got) != 1 {
		t.Fatal(err, b.got)
	}
	if f := b.got[0]; f.DeliveryID != id || f.Sort != waypost.FeedbackBounce || f.Symptom != waypost.SuppressedHard || f.Cause != "bad_mailbox" ||
		f.Detail != "550 5.1.1 no such user" || f.Reporter != fmt.Sprintf("mx.site.test [%s]", peer()) {
		t.Errorf("%+v", f)
	}
	// What a stranger's server knows nothing of leads nowhere.
	if err := receive(m.ReturnPath.Address(waypost.NewID()), "", failed); err != nil || len(b.got) != 1 {
		t.Error(err, b.got)
	}
	err := receive(path, "driver@site.test", crlf("Subject: Hello\n\nWho are you?\n"))
	if code(err) != "5.7.1" || !strings.Contains(err.Error(), "please call us") {
		t.Error(err)
	}
	for _, raw := range [][]byte{
		statusReport("Final-Recipient: rfc822; driver@site.test\nAction: delayed\nStatus: 4.4.1\n"), feedbackReport("not-spam", path), crlf("Auto-Submitted: auto-replied\n\nAway.\n"),
	} {
		if err := receive(path, "", raw); err != nil || len(b.got) != 1 {
			t.Errorf("%v, %+v", err, b.got)
		}
	}
	// Complaints come where the feedback loop is told, and prove by our return path whose they are.
	for _, to := range []string{"abuse@platform.test", path} {
		b.got = nil
		if err := receive(to, "feedback@site.test", feedbackReport("abuse", path)); err != nil || len(b.got) != 1 || b.got[0].Symptom != waypost.SuppressedComplaint || b.got[0].DeliveryID != id {
			t.Errorf("%s: %v %+v", to, err, b.got)
		}
	}
	b.got = nil
	if err := receive("abuse@platform.test", "feedback@site.test", feedbackReport("abuse", "b-forged@bounce.platform.test")); err != nil || len(b.got) != 0 {
		t.Errorf("forged: %v %+v", err, b.got)
	}
	kept := len(m.to)
	b.fail = waypost.NewError(waypost.Unavailable, "busy", "")
	if err := receive("abuse@platform.test", "feedback@site.test", feedbackReport("abuse", path)); err == nil || len(m.to) != kept {
		t.Errorf("a mail that comes again is kept already: %v", err)
	}
	b.fail = waypost.NewError(waypost.Unavailable, "busy", "")
	if err := receive(path, "", failed); waypost.KindOf(err) != waypost.Unavailable {
		t.Errorf("a failing book: %v", err)
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add(statusReport("Final-Recipient: rfc822; driver@site.test\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550-5.1.1 no\n"), "")
	f.Add(feedbackReport("abuse", "b-1@bounce.platform.test"), "a@b.test")
	f.Add(crlf("From: MAILER-DAEMON\nSubject: failure notice\n\nHi. This is the qmail\n<a@b.test>:\n550 no (#5.1.1)\n"), "")
	f.Add(crlf("Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\nQWN0aW9uOiBmYWlsZWQ=\n"), "")
	rules := classify.BuiltIn()
	f.Fuzz(func(t *testing.T, raw []byte, sender string) {
		r := ParseReport(raw, sender)
		if r.Sort == SortBounce && (sender != "" || len(r.Recipients) == 0) {
			t.Errorf("%+v", r)
		}
		for _, one := range r.Recipients {
			if len(one.Reply.Text) > maxReplyWords || one.Reply.Code != 0 && (one.Reply.Code < 200 || one.Reply.Code > 599) {
				t.Errorf("%+v", one)
			}
		}
		if fb, ok := r.about("driver@site.test", rules); ok && fb.Symptom == waypost.SuppressedHard && len(r.Recipients) > 1 {
			own := false
			for _, one := range r.Recipients {
				own = own || same(one.Final, "driver@site.test") || same(one.Original, "driver@site.test")
			}
			if !own {
				t.Errorf("%+v suppresses who is not in it", r)
			}
		}
	})
}
