package mailtest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
)

// errEnd ends a session that the fake has finished with.
var errEnd = errors.New("session over")

// smtpSession is one connection to the fake.
type smtpSession struct {
	server *SMTP
	number int
	raw    net.Conn
	conn   net.Conn // raw, or TLS over it
	br     *bufio.Reader

	tls      *tls.ConnectionState
	helo     string
	esmtp    bool
	offered  []string // EHLO keywords in force, upper case
	user     string
	mails    int
	mailSeen bool // a transaction is open
	mail     ReceivedMail
}

func newSMTPSession(server *SMTP, conn net.Conn, number int) *smtpSession {
	return &smtpSession{server: server, number: number, raw: conn, conn: conn, br: bufio.NewReaderSize(conn, 64<<10)}
}

func (c *smtpSession) run() {
	k := c.server.current()
	if k.Implicit {
		if c.startTLS(k) != nil {
			return
		}
	}
	if c.answer(k.Greet, "220 mx.test ESMTP fake") != nil {
		return
	}
	for {
		line, err := c.readCommand()
		if err != nil {
			return
		}
		if c.dispatch(line) != nil {
			return
		}
	}
}

func (c *smtpSession) violation(format string, args ...any) {
	c.server.violation(c.number, format, args...)
}

// readCommand reads one line and records it.
func (c *smtpSession) readCommand() (string, error) {
	raw, err := c.br.ReadString('\n')
	if err != nil {
		return "", err
	}
	line, ok := strings.CutSuffix(raw, "\r\n")
	if !ok {
		c.violation("command line ends in a bare LF: %q", raw)
		line = strings.TrimSuffix(raw, "\n")
	}
	if strings.ContainsAny(line, "\r\x00") {
		c.violation("control character in command: %q", line)
	}
	if len(raw) > 1024 {
		c.violation("command line of %d bytes", len(raw))
	}
	return line, nil
}

// log records a command as tests may see it.
func (c *smtpSession) log(line string) {
	if len(line) > 5 && strings.EqualFold(line[:5], "AUTH ") {
		words := strings.Fields(line)
		line = words[0] + " " + words[1]
	}
	c.server.update(func() { c.server.log = append(c.server.log, line) })
}

// dispatch obeys one command; an error ends the session.
func (c *smtpSession) dispatch(line string) error {
	k := c.server.current()
	c.log(line)
	verb, arg, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	c.checkPipelining(verb)
	if strings.ContainsFunc(line, func(r rune) bool { return r >= 0x80 }) && !c.offers("SMTPUTF8") {
		c.violation("%s outside ASCII without SMTPUTF8: %q", verb, line)
	}
	switch verb {
	case "EHLO", "HELO":
		return c.hello(k, verb, arg)
	case "STARTTLS":
		return c.upgrade(k)
	case "AUTH":
		return c.auth(k, arg)
	case "MAIL":
		return c.from(k, arg)
	case "RCPT":
		return c.rcpt(k, arg)
	case "DATA":
		return c.data(k)
	case "RSET":
		c.mailSeen = false
		return c.answer(k.Reset, "250 2.0.0 flushed")
	case "NOOP":
		return c.answer(k.Noop, "250 2.0.0 ok")
	case "QUIT":
		if err := c.answer(k.Quit, "221 2.0.0 bye"); err != nil {
			return err
		}
		return errEnd
	}
	c.violation("unknown command %q", line)
	return c.reply("500 5.5.2 unknown command")
}

// checkPipelining looks whether more has come in than the client may have sent
// (RFC 2920 section 3.1). What is still on its way escapes it.
func (c *smtpSession) checkPipelining(verb string) {
	if c.br.Buffered() == 0 {
		return
	}
	switch verb {
	case "EHLO", "HELO", "STARTTLS", "AUTH", "DATA", "NOOP", "QUIT":
		c.violation("%s is not the last command of its group", verb)
	default:
		if !c.offers("PIPELINING") {
			c.violation("%s is pipelined although that is not offered", verb)
		}
	}
}

func (c *smtpSession) offers(keyword string) bool {
	return slices.ContainsFunc(c.offered, func(o string) bool {
		return o == keyword || strings.HasPrefix(o, keyword+" ")
	})
}

// answer does what a knob says, or sends the normal reply.
func (c *smtpSession) answer(a Answer, normal string) error {
	if err := c.pass(a.Gate); err != nil {
		return err
	}
	switch {
	case a.Hang:
		_, _ = io.Copy(io.Discard, c.conn)
		return errEnd
	case a.Flood > 0:
		return c.flood(a.Flood, normal)
	}
	if a.Reply != "" {
		normal = a.Reply
	}
	if a.Raw != "" {
		if _, err := io.WriteString(c.conn, a.Raw); err != nil {
			return err
		}
	} else if a.Close && a.Reply == "" {
		return c.close(a.Reset)
	} else if err := c.reply(normal); err != nil {
		return err
	}
	if err := c.pass(a.Then); err != nil {
		return err
	}
	if a.Close || strings.HasPrefix(normal, "421") {
		return c.close(a.Reset)
	}
	return nil
}

// pass waits at a gate.
func (c *smtpSession) pass(gate <-chan struct{}) error {
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-c.server.ctx.Done():
		return errEnd
	}
}

func (c *smtpSession) close(reset bool) error {
	if tcp, ok := c.raw.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = c.raw.Close()
	return errEnd
}

func (c *smtpSession) flood(n int64, normal string) error {
	line := []byte(normal[:3] + "-" + strings.Repeat("a", 250) + "\r\n")
	chunk := bytes.Repeat(line, 64)
	for ; n > 0; n -= int64(len(chunk)) {
		if _, err := c.conn.Write(chunk); err != nil {
			return err
		}
	}
	return errEnd
}

// reply sends text line by line, with the code and hyphen each line needs.
func (c *smtpSession) reply(text string) error {
	code := text[:min(3, len(text))]
	lines := strings.Split(text, "\n")
	var b strings.Builder
	for i, line := range lines {
		line = strings.TrimPrefix(line, code)
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		line = strings.TrimPrefix(strings.TrimPrefix(line, "-"), " ")
		b.WriteString(code + sep + line + "\r\n")
	}
	_, err := io.WriteString(c.conn, b.String())
	return err
}

func (c *smtpSession) hello(k Knobs, verb, name string) error {
	if name == "" || strings.ContainsAny(name, " <>") {
		c.violation("%s with name %q", verb, name)
	}
	c.helo, c.mailSeen, c.offered = name, false, nil
	c.esmtp = verb == "EHLO"
	if verb == "HELO" {
		return c.answer(k.Hello, "250 mx.test")
	}
	if k.NoEHLO {
		c.esmtp = false
		return c.reply("502 5.5.1 what is EHLO?")
	}
	keywords := k.Extensions
	if keywords == nil {
		keywords = DefaultExtensions()
	}
	if k.Bare {
		keywords = nil
	}
	keywords = slices.Clone(keywords)
	if k.TLS && c.tls == nil {
		keywords = append(keywords, "STARTTLS")
	}
	if len(k.Users) > 0 && (c.tls != nil || !k.AuthTLSOnly) {
		sep := " "
		if k.OldAuth {
			sep = "="
		}
		keywords = append(keywords, "AUTH"+sep+strings.Join(c.mechanisms(k), " "))
	}
	for _, keyword := range keywords {
		c.offered = append(c.offered, strings.ToUpper(keyword))
	}
	return c.answer(k.Hello, strings.Join(append([]string{"250 mx.test greets " + name}, keywords...), "\n"))
}

// path takes "FROM:<a@b> PARAM ..." apart.
func path(arg, keyword string) (addr string, params []string, ok bool) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", nil, false
	}
	rest, opened := strings.CutPrefix(arg[len(keyword):], "<")
	addr, tail, closed := strings.Cut(rest, ">")
	return addr, strings.Fields(tail), opened && closed
}

func (c *smtpSession) from(k Knobs, arg string) error {
	from, params, ok := path(arg, "FROM:")
	switch {
	case !ok:
		c.violation("syntax of MAIL %q", arg)
		return c.reply("501 5.5.4 syntax")
	case c.helo == "":
		c.violation("MAIL before EHLO")
		return c.reply("503 5.5.1 EHLO first")
	case c.mailSeen:
		c.violation("MAIL inside a transaction")
		return c.reply("503 5.5.1 nested MAIL")
	}
	for _, param := range params {
		keyword, value, _ := strings.Cut(strings.ToUpper(param), "=")
		needs := keyword
		if keyword == "BODY" {
			needs = value
		}
		if !c.offers(needs) {
			c.violation("MAIL parameter %s is not offered", param)
		}
	}
	if k.RequireAuth && c.user == "" {
		return c.reply("530 5.7.0 authentication required")
	}
	if k.MaxMails > 0 && c.mails >= k.MaxMails {
		return c.answer(Answer{}, "421 4.7.0 too many mails in this session")
	}
	a := k.Mail
	if k.MailFrom != nil {
		if by := k.MailFrom(from); by != (Answer{}) {
			a = by
		}
	}
	if a.Reply == "" || strings.HasPrefix(a.Reply, "2") {
		c.mailSeen = true
		c.mail = ReceivedMail{
			From: from, Params: params, Helo: c.helo, AuthUser: c.user,
			TLS: c.tls, Conn: c.number, Peer: c.raw.RemoteAddr().String(),
		}
	}
	return c.answer(a, "250 2.1.0 sender ok")
}

func (c *smtpSession) rcpt(k Knobs, arg string) error {
	to, _, ok := path(arg, "TO:")
	switch {
	case !ok || to == "":
		c.violation("syntax of RCPT %q", arg)
		return c.reply("501 5.5.4 syntax")
	case !c.mailSeen:
		// Right for a client that pipelines, whose MAIL was refused.
		if !c.offers("PIPELINING") {
			c.violation("RCPT without MAIL")
		}
		return c.reply("503 5.5.1 MAIL first")
	}
	a := k.Rcpt
	if k.RcptTo != nil {
		if by := k.RcptTo(to); by != (Answer{}) {
			a = by
		}
	}
	if a.Reply == "" || strings.HasPrefix(a.Reply, "2") {
		c.mail.To = append(c.mail.To, to)
	}
	return c.answer(a, "250 2.1.5 recipient ok")
}

func (c *smtpSession) data(k Knobs) error {
	if !c.mailSeen || len(c.mail.To) == 0 {
		if !c.offers("PIPELINING") {
			c.violation("DATA without a recipient")
		}
		if !k.LoneDot {
			return c.reply("554 5.5.1 no valid recipients")
		}
	}
	if a := k.Data; a.silent() || (a.Reply != "" && !strings.HasPrefix(a.Reply, "3")) {
		return c.answer(a, "354 go ahead")
	} else if err := c.answer(a, "354 go ahead"); err != nil {
		return err
	}
	data, err := c.body(k)
	if err != nil {
		return err
	}
	if len(c.mail.To) == 0 {
		if len(data) > 0 {
			c.violation("a message without recipients was sent")
		}
		c.mailSeen = false
		return c.reply("554 5.5.1 no valid recipients")
	}
	c.mail.Data = data
	return c.finish()
}

// body reads the message up to the final dot.
func (c *smtpSession) body(k Knobs) ([]byte, error) {
	var data []byte
	eightBit := false
	acted := false
	for {
		line, err := c.br.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			data = append(data, line...)
			line, err = c.br.ReadSlice('\n')
		}
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" && (len(data) == 0 || data[len(data)-1] == '\n') {
			break
		}
		if line[0] == '.' && (len(data) == 0 || data[len(data)-1] == '\n') {
			line = line[1:]
		}
		data = append(data, line...)
		if k.Body != (Answer{}) && !acted && len(data) >= k.BodyAfter {
			acted = true
			if err := c.answerBody(k.Body); err != nil {
				return nil, err
			}
		}
	}
	if n := bytes.Count(data, []byte("\r\n")); n != bytes.Count(data, []byte{'\n'}) || n != bytes.Count(data, []byte{'\r'}) {
		c.violation("bare CR or LF in the message")
	}
	if bytes.IndexByte(data, 0) >= 0 {
		c.violation("NUL in the message")
	}
	for _, b := range data {
		eightBit = eightBit || b >= 0x80
	}
	if eightBit && c.offers("8BITMIME") && !slices.Contains(c.mail.Params, "BODY=8BITMIME") {
		c.violation("8-bit message without BODY=8BITMIME")
	}
	for _, param := range c.mail.Params {
		if value, ok := strings.CutPrefix(param, "SIZE="); ok && len(c.mail.To) > 0 && value != strconv.Itoa(len(data)) {
			c.violation("SIZE=%s, but %d bytes came", value, len(data))
		}
	}
	return data, nil
}

// answerBody acts in the middle of a message: there is no normal reply there.
func (c *smtpSession) answerBody(a Answer) error {
	if a.Reply == "" && a.Raw == "" && !a.silent() {
		return c.pass(a.Gate)
	}
	return c.answer(a, "451 4.3.0 no")
}

// finish answers the final dot and records the mail.
func (c *smtpSession) finish() error {
	k := c.server.current()
	mail := c.mail
	a := k.Dot
	if k.Message != nil {
		if by := k.Message(mail); by != (Answer{}) {
			a = by
		}
	}
	c.mailSeen = false
	c.mails++
	c.server.update(func() { c.server.mails = append(c.server.mails, &mail) })
	if err := c.pass(a.Gate); err != nil {
		return err
	}
	a.Gate = nil
	normal := "250 2.0.0 queued as " + strconv.Itoa(c.number) + "-" + strconv.Itoa(c.mails)
	// Noted first, so that whoever has our answer finds it here.
	c.server.update(func() {
		switch {
		case a.silent():
		case a.Reply != "":
			mail.Reply = a.Reply
		default:
			mail.Reply = normal
		}
		mail.Accepted = strings.HasPrefix(mail.Reply, "2")
	})
	return c.answer(a, normal)
}
