package classify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

func everyPhase() []waypost.Phase {
	return []waypost.Phase{
		waypost.PhaseRoute, waypost.PhaseDNS, waypost.PhaseConnect, greet, hello, stls, auth, mail, rcpt, data, dot,
	}
}

// settings are what an operator may have entered: encryption and port that fit and that
// do not.
func settings() []classify.Server {
	var all []classify.Server
	for _, security := range []waypost.Security{waypost.SecurityNone, waypost.SecurityStartTLS, waypost.SecurityTLS} {
		for _, port := range []int{25, 465, 587, 2525} {
			for _, login := range []bool{false, true} {
				all = append(all, classify.Server{Host: "smtp.gmail.com", Port: port, Security: security, Login: login})
			}
		}
	}
	return all
}

func TestThereIsAlwaysAdvice(t *testing.T) {
	t.Parallel()
	for _, phase := range append(everyPhase(), "", "no such phase") {
		for _, code := range []int{0, 220, 334, 421, 454, 500, 550, 599, 999} {
			for _, route := range []waypost.RouteKind{relay, direct, up, waypost.RouteSandbox, ""} {
				for _, s := range settings() {
					f := classify.Failure{Phase: phase, Reply: waypost.Reply{Code: code, Text: "xyzzy \x00 \xff"}, Route: route, Server: s}
					sensible(t, f)
				}
			}
		}
	}
}

func TestThereIsAdviceOnAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sensible(t, classify.Failure{
			Phase: rapid.SampledFrom(everyPhase()).Draw(t, "phase"),
			Reply: waypost.Reply{
				Code:     rapid.IntRange(0, 999).Draw(t, "code"),
				Enhanced: rapid.SampledFrom([]string{"", "5.7.139", "4.7.0", "5.6.7", "5.1.1", "*", "5"}).Draw(t, "enhanced"),
				Text: rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
					"x509: certificate is valid for", "connection refused", "Authentication required", "relay denied", "user unknown",
				})).Draw(t, "text"),
			},
			Cause:  rapid.SampledFrom(append(classify.Causes(), "", "no such cause")).Draw(t, "cause"),
			Route:  rapid.SampledFrom([]waypost.RouteKind{relay, direct, up}).Draw(t, "route"),
			Server: rapid.SampledFrom(settings()).Draw(t, "server"),
		})
	})
}

// sensible checks what holds for all advice.
func sensible(t interface{ Fatalf(string, ...any) }, f classify.Failure) {
	a := classify.Advise(f)
	if a.Code == "" || a.Text == "" {
		t.Fatalf("no advice: %+v -> %+v", f, a)
	}
	if f.Route != relay && strings.HasPrefix(a.Field, "gateway.") {
		t.Fatalf("the built-in gateway has no such setting: %+v -> %+v", f, a)
	}
	if a.Code == "plain_port_with_tls" && f.Server.Security == waypost.SecurityTLS || a.Code == "login_missing" && f.Server.Login {
		t.Fatalf("it is set already: %+v -> %+v", f, a)
	}
	if a.Field == "to" && f.Phase == auth {
		t.Fatalf("no recipient was named yet: %+v -> %+v", f, a)
	}
}

// What our own client makes of servers that say nothing. The causes are those that
// Classify finds; texts that package deliver writes are looked for in its source below.
func TestAdviceOnOurOwnWords(t *testing.T) {
	t.Parallel()
	connect, lookup := waypost.PhaseConnect, waypost.PhaseDNS
	own := at("mail.op.test")
	on := func(port int, s waypost.Security) classify.Server {
		return classify.Server{Host: "mail.op.test", Port: port, Security: s, Login: true}
	}
	none, start, implicit := waypost.SecurityNone, waypost.SecurityStartTLS, waypost.SecurityTLS
	noServer := &guard.Refused{Addr: netip.MustParseAddr("10.1.2.3"), Why: guard.Private}
	tests := map[string]struct {
		phase  waypost.Phase
		err    error
		text   string // "": that of err
		server classify.Server
		want   string
	}{
		"no such name":             {lookup, &dns.Error{Name: "mail.op.test", Type: "A", Failure: dns.NXDomain}, "", own, "host_unknown"},
		"no address":               {lookup, &dns.Error{Name: "mail.op.test", Type: "A", Failure: dns.NoData}, "", own, "host_unknown"},
		"no name at all":           {lookup, &dns.Error{Name: "a..b", Type: "A", Failure: dns.BadName}, "", own, "host_unknown"},
		"broken name server":       {lookup, &dns.Error{Name: "mail.op.test", Type: "A", Failure: dns.ServFail}, "", own, "dns_failed"},
		"silent name server":       {lookup, &dns.Error{Name: "mail.op.test", Type: "A", Failure: dns.Timeout}, "", own, "dns_failed"},
		"system resolver":          {lookup, &net.DNSError{Name: "mail.op.test", IsNotFound: true}, "DNS lookup of mail.op.test: no such host", own, "host_unknown"},
		"private address":          {connect, noServer, "", own, "host_private"},
		"loopback address":         {connect, &guard.Refused{Why: guard.Loopback}, "", own, "host_private"},
		"ourselves":                {connect, &guard.Refused{Why: guard.Self}, "", own, "host_self"},
		"forbidden port":           {connect, &guard.Refused{Port: 26, Why: guard.Port}, "", own, "port_not_allowed"},
		"refused":                  {connect, syscall.ECONNREFUSED, "nothing listens there: connection refused", own, "connection_refused"},
		"silence":                  {connect, os.ErrDeadlineExceeded, "no answer to the connection in time; a firewall may swallow it", own, "timeout_connect"},
		"silence on port 25":       {connect, os.ErrDeadlineExceeded, "no answer to the connection in time; a firewall may swallow it", on(25, none), "port25_blocked"},
		"no route":                 {connect, syscall.EHOSTUNREACH, "there is no way to that address: dial: connect: no route to host", own, "port_blocked"},
		"forbidden by the system":  {connect, syscall.EPERM, "dial: connect: operation not permitted", own, "port_blocked"},
		"reset":                    {connect, syscall.ECONNRESET, "the server closed the connection", own, "connect_failed"},
		"test given up":            {connect, os.ErrDeadlineExceeded, "the test was given up after 3 minutes", own, "timeout_connect"},
		"465 without TLS, silent":  {greet, os.ErrDeadlineExceeded, "the server did not answer in time before greeting us", on(465, start), "plain_port_with_tls"},
		"465 without TLS, closed":  {greet, io.EOF, "the server closed the connection before greeting us", on(465, none), "plain_port_with_tls"},
		"465 without TLS, bytes":   {greet, smtpc.ErrProtocol, "", on(465, start), "plain_port_with_tls"},
		"silent greeting":          {greet, os.ErrDeadlineExceeded, "the server did not answer in time before greeting us", own, "timeout_greeting"},
		"closed before greeting":   {greet, io.EOF, "the server closed the connection before greeting us", own, "greeting_closed"},
		"a web server":             {greet, smtpc.ErrProtocol, "", own, "not_smtp"},
		"a flood":                  {greet, smtpc.ErrReplyLength, "", own, "not_smtp"},
		"closed at EHLO":           {hello, io.EOF, "the server closed the connection at EHLO", own, "connection_lost"},
		"our own HELO name":        {hello, smtpc.ErrHelo, "", own, "hello_refused"},
		"STARTTLS not offered":     {stls, smtpc.ErrNoStartTLS, "", own, "starttls_missing"},
		"STARTTLS tampered with":   {stls, smtpc.ErrInjection, "", own, "tls_intercepted"},
		"TLS on 587, closed":       {stls, io.EOF, "the server closed the connection during the TLS handshake", on(587, implicit), "tls_on_wrong_port"},
		"TLS on 465, closed":       {stls, io.EOF, "the server closed the connection during the TLS handshake", on(465, implicit), "tls_failed"},
		"TLS, silence":             {stls, os.ErrDeadlineExceeded, "the server did not answer in time during the TLS handshake", on(465, implicit), "tls_failed"},
		"no login offered":         {auth, smtpc.ErrNoMechanism, "", own, "auth_not_offered"},
		"no login in the clear":    {auth, smtpc.ErrNoMechanism, "", on(587, none), "auth_needs_tls"},
		"unexpected challenge":     {auth, smtpc.ErrChallenge, "", own, "auth_mechanism"},
		"password that is none":    {auth, smtpc.ErrCredentials, "", own, "password_missing"},
		"closed at login":          {auth, io.EOF, "the server closed the connection at the login", own, "connection_lost"},
		"silent at login":          {auth, os.ErrDeadlineExceeded, "the server did not answer in time at the login", own, "server_silent"},
		"closed at MAIL":           {mail, io.EOF, "the server closed the connection at MAIL FROM", own, "connection_lost"},
		"slow at DATA":             {data, smtpc.ErrSlow, "the server took too long to read what we sent at DATA", own, "server_silent"},
		"nonsense at RCPT":         {rcpt, smtpc.ErrProtocol, "", own, "not_smtp"},
		"session unusable":         {mail, smtpc.ErrUnusable, "", own, "not_sent"},
		"silence after the dot":    {dot, os.ErrDeadlineExceeded, "the server did not answer in time after the final dot, without saying whether it has the mail", own, "no_answer"},
		"weak certificate":         {stls, &tls.CertificateVerificationError{Err: x509.InsecureAlgorithmError(x509.SHA1WithRSA)}, "", own, "certificate_bad"},
		"no settings":              {waypost.PhaseRoute, errors.New("there are no settings of the SMTP server"), "", own, "settings_missing"},
		"sender of the platform":   {waypost.PhaseRoute, errors.New("addresses of the platform do not leave through an operator's own server"), "", own, "sender_of_platform"},
		"anything before the host": {waypost.PhaseRoute, errors.New("an internal error ended the attempt"), "", own, "not_sent"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := tt.text
			if text == "" {
				text = tt.err.Error()
			}
			if got := advise(tt.phase, tt.err, text, tt.server); got != tt.want {
				t.Errorf("%q: %s, want %s", text, got, tt.want)
			}
		})
	}
}

// The same for the built-in gateway, which talks to the recipient's servers.
func TestAdviceOnOurOwnWordsOfTheBuiltinGateway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		phase waypost.Phase
		text  string
		want  string
	}{
		{waypost.PhaseRoute, "the mail cannot be signed, and unsigned it does not leave", "not_signed"},
		{waypost.PhaseRoute, "an internal error ended the attempt", "not_sent"},
		{waypost.PhaseDNS, "DNS MX lookup of example.test: server failure", "recipient_dns"},
		{waypost.PhaseDNS, "DNS A lookup of mx.example.test: no such domain", "recipient_domain"},
		{waypost.PhaseDNS, "MX mx.example.test: the MX record does not hold a host name", "recipient_domain"},
		{waypost.PhaseConnect, "destination refused: private address", "recipient_domain"},
		{waypost.PhaseConnect, "no answer to the connection in time; a firewall may swallow it", "recipient_server"},
		{greet, "the server closed the connection before greeting us", "recipient_server"},
		{rcpt, "the server closed the connection at RCPT TO", "recipient_server"},
		{dot, "the server closed the connection after the final dot, without saying whether it has the mail", "no_answer"},
		{"", "", "unknown"},
	} {
		for _, route := range []waypost.RouteKind{direct, up} {
			f := classify.Failure{Phase: tt.phase, Reply: waypost.Reply{Text: tt.text}, Route: route}
			if got := classify.Advise(f).Code; got != tt.want {
				t.Errorf("%s over %s, %q: %s, want %s", tt.phase, route, tt.text, got, tt.want)
			}
		}
	}
}

func advise(phase waypost.Phase, err error, text string, server classify.Server) string {
	v := classify.BuiltIn().Classify(classify.Input{Phase: phase, Err: err, Route: relay})
	return classify.Advise(classify.Failure{
		Phase: phase, Reply: waypost.Reply{Text: text}, Cause: v.Cause, Route: relay, Server: server,
	}).Code
}

// Texts of others that rows look for, where they are written.
func TestOurOwnWordsAreStillInUse(t *testing.T) {
	t.Parallel()
	for file, texts := range map[string][]string{
		"../deliver/words.go": {
			"nothing listens there: connection refused", "there is no way to that address", ": no such host",
			"no answer to the connection in time; a firewall may swallow it", "the server closed the connection",
		},
		"../deliver/relay.go":   {"there are no settings of the SMTP server"},
		"../deliver/prepare.go": {"the mail cannot be signed"},
		"../route/from.go":      {"addresses of the platform do not leave"},
		"../dns/error.go":       {"no such domain", "no such record", "not a domain name"},
		"../dns/hosts.go":       {"the MX record"},
		"../deliver/direct.go":  {"no usable MX"},
	} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, text := range texts {
			if !strings.Contains(string(source), text) {
				t.Errorf("%s does not say %q any more: look for the new words in advice_rules.go", file, text)
			}
		}
	}
}

// The words of crypto/tls and crypto/x509 come from real handshakes, so that a new release
// of Go cannot change them behind our back.
func TestAdviceOnHandshakes(t *testing.T) {
	t.Parallel()
	good, pool := certificate(t, "mail.op.test", time.Now().Add(time.Hour))
	old, oldPool := certificate(t, "mail.op.test", time.Now().Add(-time.Hour))
	client := func(roots *x509.CertPool, name string) *tls.Config {
		return &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	serve := func(config *tls.Config) func(net.Conn) {
		return func(c net.Conn) { _ = tls.Server(c, config).Handshake() }
	}
	startTLS := at("mail.op.test")
	implicit := classify.Server{Host: "mail.op.test", Port: 587, Security: waypost.SecurityTLS, Login: true}
	for name, tt := range map[string]struct {
		client *tls.Config
		server func(net.Conn)
		with   classify.Server
		want   string
	}{
		"unknown authority":   {client(x509.NewCertPool(), "mail.op.test"), serve(&tls.Config{Certificates: []tls.Certificate{good}}), startTLS, "certificate_unknown"},
		"another name":        {client(pool, "smtp.op.test"), serve(&tls.Config{Certificates: []tls.Certificate{good}}), startTLS, "certificate_name"},
		"an IP address":       {client(pool, "192.0.2.1"), serve(&tls.Config{Certificates: []tls.Certificate{good}}), startTLS, "certificate_name"},
		"expired":             {client(oldPool, "mail.op.test"), serve(&tls.Config{Certificates: []tls.Certificate{old}}), startTLS, "certificate_expired"},
		"old version":         {client(pool, "mail.op.test"), serve(&tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), startTLS, "tls_outdated"},
		"TLS on a plain port": {client(pool, "mail.op.test"), func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.op.test ESMTP ready\r\n") }, implicit, "tls_on_wrong_port"},
		"garbage to STARTTLS": {client(pool, "mail.op.test"), func(c net.Conn) { _, _ = io.WriteString(c, "what do you want?\r\n") }, startTLS, "tls_failed"},
		"wants a certificate": {
			client(pool, "mail.op.test"),
			serve(&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert}),
			implicit, "tls_client_certificate",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := handshake(t, tt.client, tt.server)
			if err == nil {
				t.Fatal("the handshake succeeded")
			}
			phase := stls
			if tt.want == "tls_client_certificate" {
				phase = greet // where it is noticed
			}
			if got := advise(phase, err, err.Error(), tt.with); got != tt.want {
				t.Errorf("%v: %s, want %s", err, got, tt.want)
			}
		})
	}
}

func handshake(t *testing.T, config *tls.Config, server func(net.Conn)) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		server(c)
		_, _ = io.Copy(io.Discard, c) // closing with unread data would reset what was said
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	conn := tls.Client(c, config)
	if err := conn.Handshake(); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // in TLS 1.3 a server may change its mind
	return err
}

func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestFailureOfAnAttempt(t *testing.T) {
	t.Parallel()
	a := &waypost.Attempt{
		Phase: auth, Route: relay, Cause: "auth", Reply: waypost.Reply{Code: 535, Enhanced: "5.7.8", Text: "no"},
	}
	r := &waypost.Relay{Host: "SMTP.Gmail.com", Port: 465, Security: waypost.SecurityTLS, TrustAll: true, Username: "u", Password: "geheim"}
	f := classify.FailureOf(a, r)
	want := classify.Server{Host: "SMTP.Gmail.com", Port: 465, Security: waypost.SecurityTLS, TrustAll: true, Login: true}
	if f.Server != want || f.Cause != classify.Auth || f.Phase != auth {
		t.Errorf("%+v", f)
	}
	if text := fmt.Sprintf("%+v %#v", f, f); strings.Contains(text, "geheim") {
		t.Error("the password is in it")
	}
	if got := classify.Advise(f).Code; got != "app_password" {
		t.Errorf("%s", got)
	}
	f = classify.FailureOf(&waypost.Attempt{Phase: rcpt, Route: direct, Cause: "bad_mailbox", Reply: waypost.Reply{Code: 550, Enhanced: "5.1.1", Text: "no"}}, nil)
	if got := classify.Advise(f).Code; got != "recipient_refused" {
		t.Errorf("%s", got)
	}
}

func BenchmarkAdvise(b *testing.B) {
	f := classify.Failure{Phase: dot, Route: relay, Reply: waypost.Reply{Code: 554, Text: "no"}, Server: at("mail.op.test")}
	for b.Loop() {
		classify.Advise(f)
	}
}
