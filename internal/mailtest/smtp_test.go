package mailtest_test

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/mailtest"
)

// talk sends the chunks one after the other, reading one reply (of any lines)
// before each but the first, and returns all the replies' first lines.
func talk(t *testing.T, fake *mailtest.SMTP, chunks ...string) []string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", fake.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	var replies []string
	read := func() {
		first := ""
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				replies = append(replies, err.Error())
				return
			}
			if first == "" {
				first = strings.TrimSpace(line)
			}
			if line[3] == ' ' {
				replies = append(replies, first)
				return
			}
		}
	}
	read()
	for _, chunk := range chunks {
		if _, err := conn.Write([]byte(chunk)); err != nil {
			t.Fatal(err)
		}
		read()
	}
	return replies
}

func TestSMTPFakeTakesMail(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{})
	got := talk(t, fake, "EHLO me\r\n", "MAIL FROM:<a@b> SIZE=12\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\n", "x\r\n..y\r\nz\r\n\r\n.\r\n", "QUIT\r\n")
	want := []string{"220 mx.test ESMTP fake", "250-mx.test greets me", "250 2.1.0 sender ok", "250 2.1.5 recipient ok", "354 go ahead", "250 2.0.0 queued as 1-1", "221 2.0.0 bye"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	mail := fake.WaitMails(t, 1)[0]
	if mail.From != "a@b" || mail.To[0] != "c@d" || string(mail.Data) != "x\r\n.y\r\nz\r\n\r\n" || !mail.Accepted || mail.Conn != 1 {
		t.Errorf("got %+v", mail)
	}
}

func TestSMTPFakeSeesViolations(t *testing.T) {
	t.Parallel()
	plain := mailtest.Knobs{Bare: true}
	tests := map[string]struct {
		knobs  mailtest.Knobs
		chunks []string
		want   string
	}{
		"pipelining":       {plain, []string{"EHLO me\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"}, "pipelined although"},
		"behind DATA":      {mailtest.Knobs{}, []string{"EHLO me\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\nx"}, "not the last command"},
		"bare LF, command": {plain, []string{"EHLO me\n"}, "bare LF"},
		"bare LF, message": {plain, []string{"EHLO me\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\n", "x\ny\r\n.\r\n"}, "bare CR or LF"},
		"parameter":        {plain, []string{"EHLO me\r\n", "MAIL FROM:<a@b> SIZE=1\r\n"}, "SIZE=1 is not offered"},
		"order":            {plain, []string{"EHLO me\r\n", "RCPT TO:<c@d>\r\n"}, "RCPT without MAIL"},
		"nested":           {plain, []string{"EHLO me\r\n", "MAIL FROM:<a@b>\r\n", "MAIL FROM:<a@b>\r\n"}, "inside a transaction"},
		"size":             {mailtest.Knobs{}, []string{"EHLO me\r\n", "MAIL FROM:<a@b> SIZE=9\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\n", "x\r\n.\r\n"}, "SIZE=9, but 3"},
		"eight bits":       {mailtest.Knobs{}, []string{"EHLO me\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\n", "\xe9\r\n.\r\n"}, "8-bit message"},
		"unoffered AUTH":   {plain, []string{"EHLO me\r\n", "AUTH PLAIN AGEAYg==\r\n"}, "AUTH is not offered"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := tt.knobs
			k.Lenient = true
			fake := mailtest.StartSMTP(t, k)
			talk(t, fake, tt.chunks...)
			if v := strings.Join(fake.Violations(), "\n"); !strings.Contains(v, tt.want) {
				t.Errorf("violations %q do not speak of %q", v, tt.want)
			}
		})
	}
}

func TestSMTPFakeObeysItsKnobs(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Dot: mailtest.Answer{Gate: gate, Reply: "450 4.0.0 later"}, MaxMails: 1})
	done := make(chan []string)
	say := []string{"EHLO me\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\n", "x\r\n.\r\n", "MAIL FROM:<a@b>\r\n", "QUIT\r\n"}
	go func() { done <- talk(t, fake, say...) }()
	if mail := fake.WaitDotted(t, 1)[0]; mail.Accepted || mail.Reply != "" {
		t.Errorf("answered before the gate opened: %+v", mail)
	}
	close(gate)
	got := <-done
	if diff := cmp.Diff([]string{"450 4.0.0 later", "421 4.7.0 too many mails in this session"}, got[5:7]); diff != "" {
		t.Error(diff)
	}
	if fake.Connections() != 1 || len(fake.Mails()) != 0 {
		t.Error("one connection and no mail expected")
	}
	fake.Set(func(k *mailtest.Knobs) { k.Greet = mailtest.Answer{Close: true} })
	if got := talk(t, fake); !strings.Contains(got[0], "EOF") {
		t.Errorf("got %q", got)
	}
	fake.Stop()
	_, err := new(net.Dialer).DialContext(t.Context(), "tcp", fake.Addr())
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("still listening: %v", err)
	}
}
