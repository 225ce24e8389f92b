package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// wire is an SMTP client that says what the test tells it to, right or wrong.
type wire struct {
	t    testing.TB
	conn net.Conn
	text *textproto.Conn
}

// dial connects and reads the greeting. A source, if given, is the address to come
// from.
func dial(t testing.TB, addr string, source ...string) *wire {
	t.Helper()
	w, err := tryDial(t, addr, source...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.conn.Close() })
	return w
}

// tryDial is dial for servers that may be gone.
func tryDial(t testing.TB, addr string, source ...string) (*wire, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	for _, s := range source {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(s)}
	}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	w := &wire{t: t, conn: conn, text: textproto.NewConn(conn)}
	if code, text, err := w.read(); err != nil || code != 220 {
		_ = conn.Close()
		return nil, fmt.Errorf("greeting: %d %s, %w", code, text, err)
	}
	return w, nil
}

// read reads one reply.
func (w *wire) read() (int, string, error) {
	code, text, err := w.text.ReadResponse(0)
	if err != nil && code == 0 {
		return 0, "", err
	}
	return code, text, nil
}

// try sends a command and reads the reply.
func (w *wire) try(format string, args ...any) (int, string, error) {
	if _, err := fmt.Fprintf(w.conn, format+"\r\n", args...); err != nil {
		return 0, "", err
	}
	return w.read()
}

// say is try on a connection that has to hold.
func (w *wire) say(format string, args ...any) (int, string) {
	w.t.Helper()
	code, text, err := w.try(format, args...)
	if err != nil {
		w.t.Fatalf(format+": %v", append(args, err)...)
	}
	return code, text
}

// want says a command and checks the beginning of the reply, "250" or "550 5.1.1".
func (w *wire) want(reply, format string, args ...any) {
	w.t.Helper()
	code, text := w.say(format, args...)
	if got := fmt.Sprintf("%d %s", code, text); !strings.HasPrefix(got, reply) {
		w.t.Fatalf("%s was answered %q, want %s", fmt.Sprintf(format, args...), got, reply)
	}
}

// login does EHLO and AUTH PLAIN.
func (w *wire) login(user, key string) *wire {
	w.t.Helper()
	w.want("250", "EHLO client.test")
	w.want("235", "AUTH PLAIN %s", plain(user, key))
	return w
}

func plain(user, key string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + key))
}

// send submits a mail and returns the reply to its first refused step, or to the dot.
func (w *wire) send(from, to, mail string) (int, string, error) {
	for _, command := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA"} {
		if code, text, err := w.try("%s", command); err != nil || code >= 400 {
			if err == nil && command != "MAIL FROM:<"+from+">" {
				_, _, err = w.try("RSET")
			}
			return code, text, err
		}
	}
	if !strings.HasSuffix(mail, "\r\n") {
		mail += "\r\n"
	}
	if _, err := io.WriteString(w.conn, strings.ReplaceAll(mail, "\r\n.", "\r\n..")+".\r\n"); err != nil {
		return 0, "", err
	}
	return w.read()
}

// submit is send that has to succeed; it returns the message's id.
func (w *wire) submit(from, to, mail string) string {
	w.t.Helper()
	code, text, err := w.send(from, to, mail)
	if err != nil || code != 250 {
		w.t.Fatalf("mail to %s was answered %d %s, %v", to, code, text, err)
	}
	return acceptedID(text)
}

// acceptedID is the id in the reply to the dot.
func acceptedID(text string) string {
	words := strings.Fields(text)
	return words[len(words)-1]
}

// refusedMail sends a mail that has to be refused with a reply that begins so.
func (w *wire) refusedMail(reply, from, to, mail string) {
	w.t.Helper()
	code, text, err := w.send(from, to, mail)
	if got := fmt.Sprintf("%d %s", code, text); err != nil || !strings.HasPrefix(got, reply) {
		w.t.Errorf("answered %q (%v), want %s", got, err, reply)
	}
}

// letter is a small valid mail; more are further header fields, each with its CRLF.
func letter(from, to, subject string, more ...string) string {
	return "From: " + from + "\r\nTo: " + to + "\r\nSubject: " + subject + "\r\n" + strings.Join(more, "") +
		"\r\nUnit 4711 has left the zone.\r\n"
}

// rest is a client of the HTTP API.
type rest struct {
	t    testing.TB
	base string
	key  string
	more map[string]string // further header fields
}

func (s *server) rest(key string) *rest {
	return &rest{t: s.t, base: "http://" + s.addr("http"), key: key}
}

// as is the client with one more header field.
func (r *rest) as(name, value string) *rest {
	other := *r
	other.more = map[string]string{name: value}
	return &other
}

// do makes a request and returns the status and the answer.
func (r *rest) do(method, path string, body any) (int, []byte, error) {
	var text io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		text = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return 0, nil, err
		}
		text = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, text)
	if err != nil {
		return 0, nil, err
	}
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.more {
		req.Header.Set(name, value)
	}
	client := &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// want makes a request, checks the status and decodes the answer, if into is not nil.
func (r *rest) want(status int, method, path string, body, into any) {
	r.t.Helper()
	got, answer, err := r.do(method, path, body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	if got != status {
		r.t.Fatalf("%s %s was answered %d, want %d: %s", method, path, got, status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
}

// problem is an error answer (RFC 9457).
type problem struct {
	Status int
	Title  string
	Detail string
	Code   string
	Errors []struct{ Location, Message string }
}

// object is a JSON object to send.
type object = map[string]any

// relayTo are settings that send through an operator's own SMTP server.
func relayTo(host string, port int, from string) object {
	return object{
		"gateway": object{"type": "smtp", "host": host, "port": port, "security": "none", "auth": nil},
		"from":    from,
	}
}

// accepted is the answer to a message handed over by HTTP.
type accepted struct {
	ID         string
	Deliveries []struct {
		ID        string
		MessageID string `json:"message_id"`
		To        string
		Status    string
	}
}

// note is a message for the HTTP API.
func note(to, subject string) object {
	return object{
		"to": []object{{"email": to}}, "from": "Fleet <fleet@operator.test>", "subject": subject, "text": "Unit 4711 has left the zone.",
	}
}

func decode(text []byte, into any) error { return json.Unmarshal(text, into) }
