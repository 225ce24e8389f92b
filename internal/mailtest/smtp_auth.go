package mailtest

import (
	"bufio"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // CRAM-MD5
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"strings"
)

func (c *smtpSession) upgrade(k Knobs) error {
	if !c.offers("STARTTLS") {
		c.violation("STARTTLS is not offered")
	}
	normal := "220 2.0.0 go ahead"
	a := k.StartTLS
	if a.silent() || (a.Reply != "" && !strings.HasPrefix(a.Reply, "2")) {
		return c.answer(a, normal)
	}
	if k.InjectTLS != "" {
		// One write, so that both arrive together.
		if _, err := io.WriteString(c.conn, normal+"\r\n"+k.InjectTLS); err != nil {
			return err
		}
	} else if err := c.answer(a, normal); err != nil {
		return err
	}
	if k.BreakTLS {
		// Not before the client has begun, or it would take this for an injection.
		if _, err := c.br.ReadByte(); err != nil {
			return err
		}
		_, _ = io.WriteString(c.conn, "this is no handshake at all, sorry\r\n")
		return c.close(false)
	}
	return c.startTLS(k)
}

func (c *smtpSession) startTLS(k Knobs) error {
	config, err := c.server.tlsConfig(k)
	if err != nil {
		return err
	}
	conn := tls.Server(c.raw, config)
	if err := conn.HandshakeContext(c.server.ctx); err != nil {
		return err
	}
	state := conn.ConnectionState()
	c.tls, c.conn, c.br = &state, conn, bufio.NewReaderSize(conn, 64<<10)
	// RFC 3207 section 4.2: what was said before is forgotten.
	c.helo, c.esmtp, c.offered, c.mailSeen = "", false, nil, false
	return nil
}

func (c *smtpSession) mechanisms(k Knobs) []string {
	if len(k.Mechanisms) > 0 {
		return k.Mechanisms
	}
	return []string{"PLAIN", "LOGIN"}
}

func (c *smtpSession) auth(k Knobs, arg string) error {
	mech, initial, _ := strings.Cut(arg, " ")
	mech = strings.ToUpper(mech)
	switch {
	case len(k.Users) == 0, k.AuthTLSOnly && c.tls == nil, !c.esmtp:
		c.violation("AUTH is not offered")
	case c.user != "":
		c.violation("second AUTH in a session")
	case c.mailSeen:
		c.violation("AUTH during a transaction")
	}
	if a := k.Auth; a != (Answer{}) {
		return c.answer(a, "235 2.7.0 welcome")
	}
	if k.Challenges != 0 {
		return c.askOn(k.Challenges)
	}
	if !slices.Contains(c.mechanisms(k), mech) {
		return c.reply("504 5.5.4 mechanism unknown")
	}
	user, ok, err := c.exchange(k, mech, initial)
	if err != nil {
		return err
	}
	if !ok {
		return c.reply("535 5.7.8 authentication failed")
	}
	c.user = user
	return c.reply("235 2.7.0 welcome")
}

// askOn answers whatever the client says in a login with another challenge.
func (c *smtpSession) askOn(times int) error {
	for n := 0; times < 0 || n < times; n++ {
		if err := c.reply("334 " + base64.StdEncoding.EncodeToString([]byte("<"+strconv.Itoa(n)+"@mx.test>"))); err != nil {
			return err
		}
		line, err := c.readCommand()
		if err != nil {
			return err
		}
		if line == "*" {
			c.log(line)
			if times > 0 {
				return c.reply("501 5.5.2 cancelled")
			}
		}
	}
	return c.reply("535 5.7.8 authentication failed")
}

// exchange runs the server side of a mechanism.
func (c *smtpSession) exchange(k Knobs, mech, initial string) (user string, ok bool, err error) {
	ask := func(challenge string) (string, error) {
		if err := c.reply("334 " + base64.StdEncoding.EncodeToString([]byte(challenge))); err != nil {
			return "", err
		}
		line, err := c.readCommand()
		if err != nil || line == "*" {
			return "", err
		}
		decoded, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			c.violation("AUTH answer is not base64")
		}
		return string(decoded), nil
	}
	known := func(user, password string) bool {
		want, exists := k.Users[user]
		return exists && want == password
	}
	switch mech {
	case "PLAIN":
		blob, err := base64.StdEncoding.DecodeString(initial)
		if err != nil || initial == "" {
			c.violation("AUTH PLAIN without a valid initial response")
		}
		parts := strings.Split(string(blob), "\x00")
		if len(parts) != 3 {
			return "", false, nil
		}
		return parts[1], known(parts[1], parts[2]), nil
	case "LOGIN":
		if user, err = ask("Username:"); err != nil {
			return "", false, err
		}
		password, err := ask("Password:")
		return user, err == nil && known(user, password), err
	case "CRAM-MD5":
		challenge := "<" + strconv.Itoa(c.number) + ".1@mx.test>"
		answer, err := ask(challenge)
		if err != nil {
			return "", false, err
		}
		user, digest, _ := strings.Cut(answer, " ")
		mac := hmac.New(md5.New, []byte(k.Users[user]))
		mac.Write([]byte(challenge))
		_, exists := k.Users[user]
		return user, exists && digest == hex.EncodeToString(mac.Sum(nil)), nil
	}
	return "", false, nil
}
