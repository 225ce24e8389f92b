package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/mailtest"
)

// postfixMain makes a Postfix of its own: one listener on loopback that relays
// everything to one host, with queue, data and log in one directory.
const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:%[2]d
alias_maps =
local_recipient_maps =
local_transport = error:no local mail
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_tls_security_level = none
smtputf8_enable = yes
smtpd_tls_cert_file = %[1]s/cert.pem
smtpd_tls_key_file = %[1]s/key.pem
smtpd_tls_security_level = %[3]s
smtpd_tls_received_header = yes
`

const postfixMaster = `127.0.0.1:%d inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
`

// startPostfix starts one that hands all mail on to a port, and returns its port.
// TLS is "none", "may" or "encrypt".
func startPostfix(t *testing.T, relay int, tls string) int {
	t.Helper()
	postfix, postconf := tool(t, "postfix"), tool(t, "postconf")
	if os.Geteuid() != 0 {
		missing(t, "Postfix has to be started as root")
	}
	// Not in t.TempDir: others than root have to reach it.
	dir, err := os.MkdirTemp("", "waypost-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port := freePort(t)
	owner, err := user.Lookup("postfix")
	if err != nil {
		missing(t, err.Error())
	}
	uid, _ := strconv.Atoi(owner.Uid)
	for _, err := range []error{
		os.Chmod(dir, 0o755),
		os.Mkdir(filepath.Join(dir, "conf"), 0o755), os.Mkdir(filepath.Join(dir, "spool"), 0o755), os.Mkdir(filepath.Join(dir, "data"), 0o755),
		os.Chown(filepath.Join(dir, "data"), uid, -1),
		os.WriteFile(filepath.Join(dir, "conf", "main.cf"), fmt.Appendf(nil, postfixMain, dir, relay, tls), 0o644),
		os.WriteFile(filepath.Join(dir, "conf", "master.cf"), fmt.Appendf(nil, postfixMaster, port), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	writeCertificate(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), "postfix.test")
	conf := filepath.Join(dir, "conf")
	if out, err := exec.CommandContext(t.Context(), postfix, "-c", conf, "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s", err, out)
	}
	libexec, err := exec.CommandContext(t.Context(), postconf, "-c", conf, "-h", "daemon_directory").Output()
	if err != nil {
		t.Fatal(err)
	}
	// Our own child, and not over "postfix start", which would detach it. Its own
	// children are in its process group and go with it.
	master := exec.Command(filepath.Join(strings.TrimSpace(string(libexec)), "master"), "-c", conf, "-d")
	master.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the death signal comes when the starting thread ends
		defer close(ended)
		err := master.Start()
		started <- err
		if err == nil {
			_ = master.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-master.Process.Pid, syscall.SIGTERM)
		<-ended
		_ = syscall.Kill(-master.Process.Pid, syscall.SIGKILL)
	})
	eventually(t, patience, "Postfix listens", func() bool {
		c, err := tryDial(t, fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.conn.Close()
		}
		return err == nil
	})
	return port
}

// TestPostfixAsOwnServerGetsTheMailUnchanged sends through a real Postfix to a sink
// that records what arrives.
func TestPostfixAsOwnServerGetsTheMailUnchanged(t *testing.T) {
	for _, security := range []string{"none", "starttls"} {
		t.Run(security, func(t *testing.T) {
			sink := mailtest.StartSMTP(t, mailtest.Knobs{})
			level := "none"
			if security == "starttls" {
				level = "encrypt"
			}
			port := startPostfix(t, sink.Port(), level)
			w := newWorld(t, mailtest.Knobs{}, fmt.Sprintf("RELAY_PORTS=%d", port))
			s := w.start()
			op := w.operator("Cloud", "cloud")
			key, _ := w.credential("--operator", op)
			settings := relayTo("127.0.0.1", port, "Fleet <fleet@operator.test>")
			gateway := settings["gateway"].(object)
			gateway["security"] = security
			if security == "starttls" {
				// The certificate is its own and for another name: only trust_all takes it.
				s.rest(key).want(200, "PUT", "/v1/settings/email", settings, nil)
				var failed struct {
					Done   bool
					Status string
				}
				s.rest(key).want(200, "POST", "/v1/settings/email/test", object{"to": "b@rcpt.test"}, &failed)
				if !failed.Done || failed.Status == "delivered" {
					t.Errorf("with a certificate that nobody vouches for: %+v", failed)
				}
				gateway["trust_all"] = true
			}
			var saved struct{ Warnings []string }
			s.rest(key).want(200, "PUT", "/v1/settings/email", settings, &saved)
			if security == "starttls" && len(saved.Warnings) == 0 {
				t.Error("trust_all without a warning")
			}

			mail := "Received: from unit by tracker; Sun, 22 Nov 2026 10:00:00 +0000\r\n" +
				"From: Fleet <fleet@operator.test>\r\nTo: b@rcpt.test,\r\n\tc@rcpt.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
				"Message-ID: <1@operator.test>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nX-Unit:  4711 \r\nBcc: d@rcpt.test\r\n" +
				"X-Waypost-Kind: event\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
				"Grüße\r\n.\r\n..\r\n.dot\r\n\r\ntrailing  \r\n\r\n"
			c := dial(t, s.smtp()).login("x", key)
			c.want("250", "MAIL FROM:<bounce@operator.test> BODY=8BITMIME")
			for _, to := range []string{"b", "c", "d"} {
				c.want("250", "RCPT TO:<%s@rcpt.test>", to)
			}
			c.want("354", "DATA")
			c.want("250", "%s.", strings.ReplaceAll(mail, "\r\n.", "\r\n.."))
			m := sink.WaitMails(t, 1)[0]
			if len(m.To) != 3 {
				t.Errorf("recipients of the one transaction: %v", m.To)
			}
			if m.From != "fleet@operator.test" {
				t.Errorf("envelope sender %q is not the operator's sender", m.From)
			}
			if diff := cmp.Diff(bodyOf([]byte(mail)), bodyOf(m.Data)); diff != "" {
				t.Errorf("body changed:\n%s", diff)
			}
			// docs/headers.md: Bcc and the control fields go, Received comes on top.
			want := without(headerFields([]byte(mail)), "Bcc", "X-Waypost-Kind")
			got := headerFields(m.Data)
			top := len(got) - len(want)
			if top != 2 { // ours and Postfix's
				t.Fatalf("header fields: %q", got)
			}
			if diff := cmp.Diff(want, got[top:]); diff != "" {
				t.Errorf("header changed:\n%s", diff)
			}
			says(t, got[0], "Received:", "by postfix.test")
			says(t, got[1], "Received:", "by gw.platform.test", "with ESMTPA")
			if security == "starttls" {
				says(t, got[0], "using TLS")
			}
			eventually(t, patience, "all three are delivered", func() bool { return w.status(op)["delivered"] == 3 })
		})
	}
}
