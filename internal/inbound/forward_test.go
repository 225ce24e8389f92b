package inbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

// sent is one message that left here, the operators, and what was handed over.
type sent struct {
	id, header, operator, to string
	contact                  string
	fail                     error
	suppressed               bool
	asked                    int
	got                      []waypost.Submission
}

func (s *sent) SentBy(_ context.Context, id, header, address string) (operatorID string, err error) {
	s.asked++
	if id == s.id && header == s.header && same(address, s.to) {
		return s.operator, nil
	}
	return "", waypost.NewError(waypost.NotFound, "not_found", "")
}

func (s *sent) Get(_ context.Context, id string) (*waypost.Account, error) {
	return &waypost.Account{Operator: waypost.Operator{ID: id, Name: "Acme", Contact: s.contact}}, nil
}

func (s *sent) Accept(_ context.Context, sub waypost.Submission) (waypost.Receipt, error) {
	if s.fail != nil {
		return waypost.Receipt{}, s.fail
	}
	s.got = append(s.got, sub)
	state := waypost.Queued
	if s.suppressed {
		state = waypost.Suppressed
	}
	return waypost.Receipt{ID: "m", Deliveries: []waypost.ReceiptDelivery{{Status: state}}}, nil
}

// forwarding is a mailbox that forwards what answers one mail to driver@site.test.
func forwarding() (*kept, *sent) {
	m, id := newMailbox(zones{}), waypost.NewID()
	s := &sent{id: id, header: "<" + id + "@platform.test>", operator: "op", to: "driver@site.test", contact: "boss@acme.test"}
	m.Sender, m.Settings = "No-Reply@platform.test", owner{Courtesy: "please call us", Forward: true}
	m.Forward = &Forwarder{
		Sent: s, Accounts: s, Accepter: s, From: waypost.Address{Name: "Fleet", Email: "no-reply@platform.test"}, Log: slog.New(slog.DiscardHandler),
	}
	return m, s
}

// answer is what a person writes.
func answer(fields, id string) string {
	return "From: \"Ann\" <driver@site.test>\nTo: no-reply@platform.test\nSubject: Re: Truck 7\nIn-Reply-To: " + id + "\n" + fields + "\nWho are you?\n"
}

// write brings a mail to the default sender.
func (k *kept) write(t *testing.T, from, text string) error {
	t.Helper()
	to := []string{"no-reply@PLATFORM.test"}
	if err := k.Recipient(t.Context(), to[0], nil); err != nil {
		t.Fatal(err)
	}
	if err := k.Begin(t.Context(), to, peer()); err != nil {
		return err
	}
	return k.Receive(t.Context(), to, Arrival{Peer: peer(), MailFrom: from, Data: crlf(text), At: time.Now()})
}

func TestAnAnswerGoesToTheContactOfWhoseMailItAnswers(t *testing.T) {
	m, s := forwarding()
	if err := m.write(t, "bounces@site.test", answer("X-Note: 1\n", s.header)); err != nil || len(s.got) != 1 {
		t.Fatal(err, s.got)
	}
	got := s.got[0]
	if got.OperatorID != waypost.PlatformOperatorID || len(got.Recipients) != 1 || got.Recipients[0] != "boss@acme.test" || got.Kind != waypost.KindOther ||
		got.Metadata["answered_message"] != s.id || got.Metadata["answered_operator"] != "op" || got.Metadata["written_by"] != "driver@site.test" {
		t.Errorf("%+v", got)
	}
	header, body, err := message.Split(got.Message)
	if err != nil {
		t.Fatal(err)
	}
	r := message.Read(header, body)
	for field, want := range map[string]string{
		"From": `"Fleet" <no-reply@platform.test>`, "Reply-To": `"Ann" <driver@site.test>`, "To": "boss@acme.test", "Subject": "Re: Truck 7",
		"Auto-Submitted": "auto-generated", "In-Reply-To": "", "Message-ID": "",
	} {
		if got := r.Header.Text(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	if text := r.Text.String(); !strings.Contains(text, "> Who are you?") || !strings.Contains(text, "Ann <driver@site.test>\r\nanswered a mail of Acme") {
		t.Errorf("%q", text)
	}
	if len(r.Files) != 1 || string(r.Files[0].Bytes()) != string(crlf(answer("X-Note: 1\n", s.header))) {
		t.Errorf("%+v", r.Files)
	}
	// The same mail once more is the same submission.
	if err := m.write(t, "bounces@site.test", answer("X-Note: 1\n", s.header)); err != nil || s.got[1].IdempotencyKey != got.IdempotencyKey ||
		string(s.got[1].BodySHA256) != string(got.BodySHA256) {
		t.Errorf("%v, %+v", err, s.got[1])
	}
}

func TestWhatIsNoAnswerIsRefusedAndNothingElseHappens(t *testing.T) {
	m, s := forwarding()
	other := "<" + waypost.NewID() + "@platform.test>"
	for name, c := range map[string]struct{ from, text string }{
		"another Message-ID":           {"driver@site.test", answer("", other)},
		"the id at another domain":     {"driver@site.test", answer("", strings.Replace(s.header, "platform", "evil", 1))},
		"no Message-ID of ours":        {"driver@site.test", answer("", "<1@site.test>")},
		"none":                         {"driver@site.test", "From: driver@site.test\nSubject: Hello\n\nHello\n"},
		"somebody it did not go to":    {"driver@site.test", strings.Replace(answer("", s.header), "driver@", "eve@", 1)},
		"no sender":                    {"", answer("", s.header)},
		"an automatic answer":          {"driver@site.test", answer("Auto-Submitted: auto-replied (vacation)\n", s.header)},
		"of Exchange":                  {"driver@site.test", answer("X-Auto-Response-Suppress: All\n", s.header)},
		"bulk":                         {"driver@site.test", answer("Precedence: bulk\n", s.header)},
		"through a list":               {"driver@site.test", answer("List-Id: <l.site.test>\n", s.header)},
		"passed on":                    {"driver@site.test", answer("Resent-From: eve@site.test\n", s.header)},
		"in a loop":                    {"driver@site.test", answer(strings.Repeat("Received: by x\n", maxHops+1), s.header)},
		"a report":                     {"driver@site.test", string(statusReport("Final-Recipient: rfc822; driver@site.test\nAction: failed\nStatus: 5.1.1\n"))},
		"several authors":              {"driver@site.test", answer("From: eve@site.test\n", s.header)},
		"ours behind too many of them": {"driver@site.test", "From: driver@site.test\nReferences: " + s.header + manyIDs(maxReferences) + "\n\nHello\n"},
		"no header":                    {"driver@site.test", "\n\n"},
	} {
		s.asked = 0
		if err := m.write(t, c.from, c.text); code(err) != "5.7.1" || !strings.Contains(err.Error(), "please call us") || len(s.got) != 0 {
			t.Errorf("%s: %v, %+v", name, err, s.got)
		}
		if s.asked > maxReferences {
			t.Errorf("%s: %d look-ups", name, s.asked)
		}
	}
	if err := m.write(t, "driver@site.test", answer("", s.header)+strings.Repeat("0123456789\n", maxForward/11)); waypost.KindOf(err) != waypost.TooLarge {
		t.Error(err)
	}
	s.contact = ""
	if err := m.write(t, "driver@site.test", answer("", s.header)); code(err) != "5.7.1" {
		t.Errorf("without a contact: %v", err)
	}
	s.contact, s.fail = "boss@acme.test", waypost.NewError(waypost.StorageFull, "storage_full", "")
	if err := m.write(t, "driver@site.test", answer("", s.header)); !errors.Is(err, s.fail) {
		t.Errorf("not taken: %v", err)
	}
	s.fail, s.suppressed = nil, true
	if err := m.write(t, "driver@site.test", answer("", s.header)); code(err) != "5.7.1" {
		t.Errorf("a contact that is suppressed: %v", err)
	}
	m.Settings = owner{Courtesy: "please call us"}
	s.got = nil
	if err := m.write(t, "driver@site.test", answer("", s.header)); code(err) != "5.7.1" || len(s.got) != 0 {
		t.Errorf("the owner does not want it: %v", err)
	}
	if err := m.Receive(t.Context(), []string{m.Sender}, Arrival{MailFrom: "driver@site.test", Data: crlf(answer("", s.header))}); code(err) != "5.7.1" || len(s.got) != 0 {
		t.Errorf("nor since a moment ago: %v", err)
	}
}

func manyIDs(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(" <" + waypost.NewID() + "@platform.test>")
	}
	return b.String()
}

func TestTheDefaultSenderIsAloneAndOnlyIfItIsNotRead(t *testing.T) {
	m, _ := forwarding()
	for _, c := range []struct {
		have []string
		next string
		want string
	}{
		{nil, "no-reply@platform.test", ""},
		{[]string{"postmaster"}, "no-reply@platform.test", "4.5.3"},
		{[]string{"no-reply@platform.test"}, "postmaster", "4.5.3"},
		{nil, `"no-reply"@platform.test`, "5.1.1"},
		{nil, "no-reply+x@platform.test", "5.1.1"},
		{nil, "no-reply@bounce.platform.test", "5.1.1"},
	} {
		if got := code(m.Recipient(t.Context(), c.next, c.have)); got != c.want {
			t.Errorf("%s beside %v: %q, want %q", c.next, c.have, got, c.want)
		}
	}
	m.Sender = "postmaster@platform.test"
	if err := m.Begin(t.Context(), []string{m.Sender}, peer()); err != nil {
		t.Errorf("postmaster is read: %v", err)
	}
	if err := m.Receive(t.Context(), []string{m.Sender}, arrival(plainMail)); err != nil || len(m.to) != 1 {
		t.Error(err, m.to)
	}
}

func TestForwardsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := forwarding()
		// passed is how many of a mail every ten seconds of an hour are forwarded, by how many writers.
		passed := func(writers int) int {
			s.got = nil
			begun := time.Now()
			for i := 0; time.Since(begun) < time.Hour; i++ {
				s.to = fmt.Sprintf("driver%d@site.test", i%writers)
				err := m.write(t, s.to, strings.Replace(answer("", s.header), "driver@site.test", s.to, 1))
				if err != nil && (code(err) != "4.7.1" || waypost.KindOf(err) != waypost.RateLimited) {
					t.Fatal(err)
				}
				<-time.After(10 * time.Second)
			}
			<-time.After(24 * time.Hour)
			return len(s.got)
		}
		if n := passed(1); n < 4 || n > 5 {
			t.Errorf("%d of one writer", n)
		}
		if n := passed(360); n < 15 || n > 20 {
			t.Errorf("%d to one operator", n)
		}
	})
}

func TestReportsAreBoundedAndLateOnesComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailbox(zones{})
		begin := func(path string) error { return m.Begin(t.Context(), []string{path}, peer()) }
		one := m.returnPathAt("bounce.platform.test")
		taken := 0
		for range 100 {
			if err := begin(one); err == nil {
				taken++
			} else if code(err) != "4.7.1" || waypost.KindOf(err) != waypost.RateLimited {
				t.Fatal(err)
			}
		}
		if taken != 20 {
			t.Errorf("%d for one delivery", taken)
		}
		// A provider with 20,000 bounces, whose server comes again each half hour.
		left, hours := 20_000, 0.0
		for ; left > 0 && hours < 24; hours += 0.5 {
			for range left {
				if begin(m.returnPathAt("bounce.platform.test")) == nil {
					left--
				}
			}
			<-time.After(30 * time.Minute)
		}
		if left > 0 || hours < 1 || hours > 12 {
			t.Errorf("%d are left after %v hours", left, hours)
		}
	})
}

func TestAnAnswerInHTMLIsShownAsText(t *testing.T) {
	m, s := forwarding()
	html := strings.Replace(answer("Content-Type: text/html; charset=utf-8\n", s.header), "Who are you?", "<p>Who<br>are <b>you</b>?<script>alert(1)</script></p>", 1)
	if err := m.write(t, "driver@site.test", html); err != nil || len(s.got) != 1 {
		t.Fatal(err, s.got)
	}
	header, body, err := message.Split(s.got[0].Message)
	if err != nil {
		t.Fatal(err)
	}
	if text := message.Read(header, body).Text.String(); !strings.Contains(text, "> Who\r\n> are you?") || strings.Contains(text, "alert") {
		t.Errorf("%q", text)
	}
}

// Whatever is written, what leaves is a mail of ours to the contact.
func FuzzForward(f *testing.F) {
	f.Add("Ann <driver@site.test>", "Re: x", "text/plain", "Who are you?")
	f.Add("driver@site.test, eve@site.test", "=?utf-8?q?=0D=0ABcc:_eve@site.test?=", "multipart/mixed; boundary=b", "--b\r\n\r\nHello\r\n--b--")
	f.Add("\"a\r\n b\" <driver@site.test>", "\x00\x7f", "message/rfc822", "From: x\r\n\r\n.")
	f.Add("driver@site.test", "x\r\nResent-To: eve@site.test", "text/html; charset=utf-16", "<p\xff>")
	f.Fuzz(func(t *testing.T, from, subject, kind, text string) {
		m, s := forwarding()
		raw := "From: " + from + "\r\nIn-Reply-To: " + s.header + "\r\nSubject: " + subject + "\r\nContent-Type: " + kind + "\r\n\r\n" + text
		_ = m.Receive(t.Context(), []string{m.Sender}, Arrival{Peer: peer(), MailFrom: "driver@site.test", Data: []byte(raw), At: time.Now()})
		for _, got := range s.got {
			header, _, err := message.Split(got.Message)
			if err != nil {
				t.Fatal(err)
			}
			h, err := message.ParseHeader(header, message.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			author, err := h.From()
			if err != nil || author.Email != "no-reply@platform.test" || h.Get("To") != "boss@acme.test" || h.Has("Bcc") || h.Has("Cc") || h.Has("Resent-To") ||
				h.Get("Auto-Submitted") != "auto-generated" || len(got.Recipients) != 1 || got.Recipients[0] != "boss@acme.test" {
				t.Errorf("%s", header)
			}
			if list, err := message.ParseAddressList(h.Get("Reply-To")); err != nil || len(list) != 1 || !same(list[0].Email, "driver@site.test") {
				t.Errorf("%q: %v", h.Get("Reply-To"), err)
			}
		}
	})
}
