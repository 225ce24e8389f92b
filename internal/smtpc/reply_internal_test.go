package smtpc

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/waypost"
)

// canned is a connection whose peer has said everything already.
type canned struct{ io.Reader }

func (canned) Write(p []byte) (int, error)      { return len(p), nil }
func (canned) Close() error                     { return nil }
func (canned) LocalAddr() net.Addr              { return nil }
func (canned) RemoteAddr() net.Addr             { return nil }
func (canned) SetDeadline(time.Time) error      { return nil }
func (canned) SetReadDeadline(time.Time) error  { return nil }
func (canned) SetWriteDeadline(time.Time) error { return nil }

func read(t testing.TB, wire string, hide ...string) (waypost.Reply, error) {
	t.Helper()
	s := New(canned{strings.NewReader(wire)}, Options{})
	s.secrets = hide
	return s.readReply(context.Background(), time.Minute)
}

func TestReplies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		wire string
		want waypost.Reply
		err  error
	}{
		{"250 ok\r\n", waypost.Reply{Code: 250, Text: "ok"}, nil},
		{"250 2.1.0 ok\r\n", waypost.Reply{Code: 250, Enhanced: "2.1.0", Text: "ok"}, nil},
		{"250 2.1.0\r\n", waypost.Reply{Code: 250, Enhanced: "2.1.0"}, nil},
		{"250\r\n", waypost.Reply{Code: 250}, nil},
		{"250\n", waypost.Reply{Code: 250}, nil},
		{"250 bare\n", waypost.Reply{Code: 250, Text: "bare"}, nil},
		{"550-5.1.1 a\r\n550-5.1.1  b\r\n550 5.1.1 c\r\n", waypost.Reply{Code: 550, Enhanced: "5.1.1", Text: "a\n b\nc"}, nil},
		{"550 4.1.1 class differs\r\n", waypost.Reply{Code: 550, Text: "4.1.1 class differs"}, nil},
		{"550 5.1 short\r\n", waypost.Reply{Code: 550, Text: "5.1 short"}, nil},
		{"550 5.1.1234 long\r\n", waypost.Reply{Code: 550, Text: "5.1.1234 long"}, nil},
		{"550 5.1.1: colon\r\n", waypost.Reply{Code: 550, Text: "5.1.1: colon"}, nil},
		{"550 5.7.139 three digits\r\n", waypost.Reply{Code: 550, Enhanced: "5.7.139", Text: "three digits"}, nil},
		{"550 a\x00b\x1b[31mc\td\xffe\u202ef\u0085\r\n", waypost.Reply{Code: 550, Text: "ab[31mc def"}, nil},
		{"550 привет\r\n", waypost.Reply{Code: 550, Text: "привет"}, nil},
		{"550 " + strings.Repeat("x", 5000) + "\r\n", waypost.Reply{Code: 550, Text: strings.Repeat("x", 2048)}, nil},
		{"550 " + strings.Repeat("é", 5000) + "\r\n", waypost.Reply{Code: 550, Text: strings.Repeat("é", 1024)}, nil},
		{"250-a\r\n550 b\r\n", waypost.Reply{}, ErrProtocol},
		{"25 a\r\n", waypost.Reply{}, ErrProtocol},
		{"150 a\r\n", waypost.Reply{}, ErrProtocol},
		{"650 a\r\n", waypost.Reply{}, ErrProtocol},
		{"250_a\r\n", waypost.Reply{}, ErrProtocol},
		{"\r\n", waypost.Reply{}, ErrProtocol},
		{"250 never ended", waypost.Reply{}, io.EOF},
		{"250-never ended\r\n", waypost.Reply{}, io.EOF},
		{strings.Repeat("250-a\r\n", 100) + "250 b\r\n", waypost.Reply{}, ErrReplyLength},
		{"250 " + strings.Repeat("x", 64<<10) + "\r\n", waypost.Reply{}, ErrReplyLength},
	}
	for _, tt := range tests {
		got, err := read(t, tt.wire)
		if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(err, tt.err) {
			t.Errorf("%.60q: %v, %s", tt.wire, err, diff)
		}
	}
}

func TestSecretsAreHiddenHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ wire, want string }{
		"in one piece":            {"535 5.7.8 no hunter2secret here\r\n", "no *** here"},
		"with a NUL":              {"535 5.7.8 no hun\x00ter2secret here\r\n", "no *** here"},
		"with format characters":  {"535 no hunter\u200b2\u202esec\x1bret\u0085 here\r\n", "no *** here"},
		"with bytes of no text":   {"535 no hunter2\xff\xfesecret here\r\n", "no *** here"},
		"over two lines":          {"535-no hunter2\r\n535 secret here\r\n", "no *** here"},
		"over lines with a code":  {"535-5.7.8 no hunter2\r\n535 5.7.8 secret here\r\n", "no *** here"},
		"over many lines":         {"535-no h\r\n535-u\r\n535-nter2\r\n535-se\r\n535 cret here\r\n", "no *** here"},
		"spaced out":              {"535 no h u n t e r 2 s e c r e t here\r\n", "no *** here"},
		"twice":                   {"535-hunter2secret,\r\n535 hunter2\x00secret\r\n", "***,\n***"},
		"one inside another":      {"535 a pass word hunter2secrets b\r\n", "a *** b"},
		"cut in the middle of it": {"535 " + strings.Repeat("x", 2040) + " hunter2secret\r\n", strings.Repeat("x", 2040)},
		"cut, spaced out":         {"535 " + strings.Repeat("x", 2024) + " h u n t e r 2 s e c r e t\r\n", strings.Repeat("x", 2024)},
		"something else":          {"535-5.7.8 no\r\n535 5.7.8 such user\r\n", "no\nsuch user"},
	}
	for name, tt := range tests {
		got, err := read(t, tt.wire, "hunter2secret", "passwordhunter2secrets")
		if err != nil {
			t.Fatal(err)
		}
		// What is cut loses its end, which may be a secret's beginning.
		if got.Text != tt.want && !(strings.HasPrefix(name, "cut") && strings.HasPrefix(tt.want, got.Text) && got.Text != "") {
			t.Errorf("%s: %.80q, want %.80q", name, got.Text, tt.want)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"250 2.1.0 ok\r\n", "550-5.1.1 a\r\n550 5.1.1 b\r\n", "220-\r\n220 \r\n", "334 c2VjcmV0\r\n", "421\n", "250-x\r\n550 y\r\n", "999 z\r\n", "250 secret\xff\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, wire string) {
		reply, err := read(t, wire, "secret")
		if err != nil {
			if reply != (waypost.Reply{}) {
				t.Fatalf("reply %+v with error %v", reply, err)
			}
			return
		}
		if reply.Code < 200 || reply.Code > 599 {
			t.Fatalf("code %d", reply.Code)
		}
		if !utf8.ValidString(reply.Text) || len(reply.Text) > keptReply {
			t.Fatalf("text %q", reply.Text)
		}
		for _, r := range reply.Text {
			if r != '\n' && unicode.IsControl(r) {
				t.Fatalf("control character in %q", reply.Text)
			}
		}
		if strings.Contains(squeeze(reply.Text), "secret") {
			t.Fatalf("secret in %q", reply.Text)
		}
		if reply.Enhanced != "" && int(reply.Enhanced[0]-'0') != reply.Code/100 {
			t.Fatalf("class of %q in a %d", reply.Enhanced, reply.Code)
		}
		// A reader that gets the same bytes in pieces understands the same.
		s := New(canned{iotestOneByte{strings.NewReader(wire)}}, Options{})
		s.br = bufio.NewReaderSize(s.raw, 16)
		s.secrets = []string{"secret"}
		again, err := s.readReply(context.Background(), time.Minute)
		if err != nil || again != reply {
			t.Fatalf("in pieces: %+v, %v; whole: %+v", again, err, reply)
		}
	})
}

type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func TestExtensionsSurviveAnything(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n\n", "x\nSIZE\nSIZE -1\nSIZE 99999999999999999999\nAUTH\nAUTH=\nLIMITS\nLIMITS RCPTMAX=x =3"} {
		if ext := parseExtensions(text); ext.MaxSize != 0 || len(ext.Auth) != 0 || ext.RcptMax != 0 || !ext.ESMTP {
			t.Errorf("%q: %+v", text, ext)
		}
	}
}
