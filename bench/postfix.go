package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// selector names the DKIM key of Postfix+OpenDKIM.
const selector = "bench"

// postfix is Postfix, with OpenDKIM as its milter when signing.
type postfix struct{ signing bool }

func (p postfix) name() string {
	if p.signing {
		return "postfix+opendkim"
	}
	return "postfix"
}

func (p postfix) signs() bool { return p.signing }

// mainCF is tuned for this load, so that nobody can say Postfix was held back:
// as many processes and parallel deliveries as there are sessions, processes that
// live through the run, no delay on inflow, hashed queue folders, kept connections to
// the relay, no name look-ups, no connection counting. Nothing listens for its log, which is the
// cheapest logging there is. Durability is as shipped: a queue file is synced
// before 250.
const mainCF = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
mail_owner = postfix
setgid_group = postdrop
myhostname = gw.platform.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:%[2]d
alias_maps =
local_recipient_maps =
local_transport = error:no local mail
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
smtpd_peername_lookup = no
smtpd_reject_unlisted_recipient = no
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = 127.0.0.0/8
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_connection_cache_on_demand = yes
smtp_connection_cache_destinations = [127.0.0.1]:%[2]d
default_process_limit = 200
default_destination_concurrency_limit = 50
initial_destination_concurrency = 50
default_destination_concurrency_failed_cohort_limit = 1000
qmgr_message_active_limit = 40000
qmgr_message_recipient_limit = 40000
in_flow_delay = 0
hash_queue_names = incoming, active, deferred, defer
max_use = 100000
max_idle = 600s
message_size_limit = 52428800
mailbox_size_limit = 0
`

// milterCF is added when OpenDKIM signs.
const milterCF = `smtpd_milters = %[1]s
milter_default_action = tempfail
milter_protocol = 6
`

const masterCF = `%s inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
`

const opendkimCF = `Syslog no
Mode s
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
Domain platform.test
Selector bench
KeyFile %[1]s/dkim.pem
RequireSafeKeys no
OversignHeaders From,To,Subject
InternalHosts 127.0.0.1
Socket local:%[2]s
UMask 000
Background no
`

func (p postfix) start(ctx context.Context, dir string, sink int) (_ *instance, err error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	in := &instance{addr: loopback(port)}
	defer func() {
		if err != nil {
			_ = in.stop()
		}
	}()

	config := fmt.Sprintf(mainCF, dir, sink)
	if p.signing {
		socket, err := p.startOpenDKIM(ctx, in, dir)
		if err != nil {
			return nil, err
		}
		config += fmt.Sprintf(milterCF, socket)
	}
	if err := writeFiles(map[string]string{
		filepath.Join(dir, "conf/main.cf"):   config,
		filepath.Join(dir, "conf/master.cf"): fmt.Sprintf(masterCF, in.addr),
	}); err != nil {
		return nil, err
	}
	for _, d := range []string{"spool", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := chownTo(filepath.Join(dir, "data"), "postfix"); err != nil {
		return nil, err
	}
	return in, p.startMaster(ctx, in, dir)
}

// startMaster lets Postfix make its queue folders and starts its master process
// as our own child, without the detour over "postfix start", which detaches it.
func (p postfix) startMaster(ctx context.Context, in *instance, dir string) error {
	control, err := findTool("postfix")
	if err != nil {
		return err
	}
	postconf, err := findTool("postconf")
	if err != nil {
		return err
	}
	conf := filepath.Join(dir, "conf")
	if out, err := command(ctx, control, "-c", conf, "check").CombinedOutput(); err != nil {
		return fmt.Errorf("postfix check: %w: %s", err, out)
	}
	libexec, err := output(command(ctx, postconf, "-c", conf, "-h", "daemon_directory"))
	if err != nil {
		return err
	}
	master := filepath.Join(strings.TrimSpace(string(libexec)), "master")
	d, err := startDaemon(command(ctx, master, "-c", conf, "-d"))
	if err != nil {
		return err
	}
	in.onStop(d.stop)
	in.roots = append(in.roots, d.pid())
	return waitFor(ctx, "postfix", d, func() bool { return listening(ctx, in.addr) })
}

// startOpenDKIM starts the milter with a new RSA-2048 key and returns its socket
// as Postfix writes it.
func (p postfix) startOpenDKIM(ctx context.Context, in *instance, dir string) (string, error) {
	opendkim, err := findTool("opendkim")
	if err != nil {
		return "", err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", err
	}
	record := "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)
	in.txt = func(name string) ([]string, error) {
		if name != selector+"._domainkey."+platformDomain {
			return nil, fmt.Errorf("no TXT record at %s", name)
		}
		return []string{record}, nil
	}

	socket := filepath.Join(dir, "opendkim.sock")
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	conf := filepath.Join(dir, "opendkim.conf")
	if err := writeFiles(map[string]string{
		filepath.Join(dir, "dkim.pem"): string(private),
		conf:                           fmt.Sprintf(opendkimCF, dir, socket),
	}); err != nil {
		return "", err
	}
	d, err := startDaemon(command(ctx, opendkim, "-f", "-x", conf))
	if err != nil {
		return "", err
	}
	in.onStop(d.stop)
	in.roots = append(in.roots, d.pid())
	return "unix:" + socket, waitFor(ctx, "opendkim", d, func() bool { return exists(socket) })
}
