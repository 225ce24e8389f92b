package e2e_test

import (
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	_ "modernc.org/sqlite"             // driver "sqlite"

	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
)

// platform is the domain of the built-in gateway in these tests.
const platform = "platform.test"

// world is an installation whose built-in gateway delivers straight to a fake MX,
// which is the exchanger of as many sites as the test wants.
type world struct {
	*installation
	mx  *mailtest.SMTP
	dns *dnstest.Server
}

func newWorld(t testing.TB, knobs mailtest.Knobs, settings ...string) *world {
	t.Helper()
	w := &world{mx: mailtest.StartSMTP(t, knobs), dns: dnstest.Start(t, dnstest.Zones{
		platform: {"A 127.0.0.1"}, "gw." + platform: {"A 127.0.0.1"},
	})}
	w.installation = newInstallation(t, append([]string{
		"PLATFORM_DOMAIN=" + platform, "DNS_RESOLVER=" + w.dns.Addr,
		fmt.Sprintf("MX_PORT=%d", w.mx.Port()), "SENDING_ADDRESSES=192.0.2.1",
	}, settings...)...)
	w.site("rcpt.test", "127.0.0.1")
	return w
}

// site makes a domain whose mail goes to an address.
func (w *world) site(domain, address string) {
	w.dns.Set(domain, "MX 10 mx."+domain+".")
	w.dns.Set("mx."+domain, "A "+address)
}

// instanceKey makes one, as PostgreSQL needs it.
func instanceKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// reader opens the installation's database for reading. With SQLite the server has to
// run, or to have ended cleanly.
func (in *installation) reader() *sql.DB {
	in.t.Helper()
	driver, source := "pgx", in.env["WAYPOST_DATABASE_URL"]
	if source == "" {
		driver = "sqlite"
		source = "file:" + (&url.URL{Path: filepath.Join(in.dir, "waypost.db")}).EscapedPath() +
			"?mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { _ = db.Close() })
	return db
}

// number reads one number from the database.
func number(t testing.TB, db *sql.DB, query string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := db.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// conserved checks that nothing was lost: for each operator, the counters, the rows
// and the events say the same.
func (in *installation) conserved(db *sql.DB) {
	in.t.Helper()
	const final = "delivered + bounced + expired + cancelled + suppressed + uncertain"
	for _, q := range []struct{ what, query string }{
		{"accepted and rows", `SELECT o.id, COALESCE((SELECT SUM(accepted) FROM counter c WHERE c.operator_id = o.id), 0),
			(SELECT COUNT(*) FROM delivery d WHERE d.operator_id = o.id) FROM operator o`},
		{"queued and rows", `SELECT o.id, COALESCE((SELECT SUM(accepted - (` + final + `)) FROM counter c WHERE c.operator_id = o.id), 0),
			(SELECT COUNT(*) FROM delivery d WHERE d.operator_id = o.id AND d.state = 'queued') FROM operator o`},
		{"delivered and rows", `SELECT o.id, COALESCE((SELECT SUM(delivered) FROM counter c WHERE c.operator_id = o.id), 0),
			(SELECT COUNT(*) FROM delivery d WHERE d.operator_id = o.id AND d.state = 'delivered') FROM operator o`},
		{"delivered and events", `SELECT o.id, COALESCE((SELECT SUM(delivered) FROM counter c WHERE c.operator_id = o.id), 0),
			COALESCE((SELECT SUM(count) FROM event e WHERE e.operator_id = o.id AND e.to_state = 'delivered'), 0) FROM operator o`},
		{"accepted and events", `SELECT o.id, COALESCE((SELECT SUM(accepted) FROM counter c WHERE c.operator_id = o.id), 0),
			COALESCE((SELECT SUM(count) FROM event e WHERE e.operator_id = o.id AND e.type = 'accepted'), 0) FROM operator o`},
		{"deliveries and their content", `SELECT o.id, (SELECT COUNT(*) FROM delivery d WHERE d.operator_id = o.id),
			(SELECT COUNT(*) FROM delivery d WHERE d.operator_id = o.id
			   AND EXISTS (SELECT 1 FROM message m JOIN body b ON b.id = m.body_id WHERE m.id = d.message_id)) FROM operator o`},
	} {
		in.balanced(db, q.what, q.query)
	}
}

// balanced checks that two figures of each operator are the same.
func (in *installation) balanced(db *sql.DB, what, query string) {
	in.t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		in.t.Fatalf("%s: %v", what, err)
	}
	defer rows.Close()
	for rows.Next() {
		var operator string
		var want, got int64
		if err := rows.Scan(&operator, &want, &got); err != nil {
			in.t.Fatal(err)
		}
		if want != got {
			in.t.Errorf("operator %s: %s: %d and %d", operator, what, want, got)
		}
	}
	if err := rows.Err(); err != nil {
		in.t.Fatal(err)
	}
}

// delivery is a row of `queue list` and `message list`.
type delivery struct {
	ID        string
	MessageID string `json:"message_id"`
	Operator  string `json:"operator_id"`
	To        string
	Status    string
	Held      bool
	Leased    bool
	Attempts  int
	NextAt    string `json:"next_at"`
	Reason    string
}

// queue lists what waits.
func (in *installation) queue(args ...string) []delivery {
	in.t.Helper()
	var list []delivery
	in.json(&list, append([]string{"queue", "list"}, args...)...)
	return list
}

// messageRow is a row of `message list`.
type messageRow struct {
	ID         string
	To         string
	Subject    string
	From       string
	Kind, Lane string
	Statuses   map[string]int
}

func (in *installation) messages(args ...string) []messageRow {
	in.t.Helper()
	var list []messageRow
	in.json(&list, append([]string{"message", "list"}, args...)...)
	return list
}

// status counts the deliveries of an operator by state.
func (in *installation) status(operator string) map[string]int {
	in.t.Helper()
	sum := map[string]int{}
	for _, m := range in.messages("--operator", operator, "--limit", "1000") {
		for state, n := range m.Statuses {
			sum[state] += n
		}
	}
	return sum
}

// fields returns the values of a header field of a mail, unfolded, in order.
func fields(mail []byte, name string) []string {
	var values []string
	for _, f := range headerFields(mail) {
		if key, value, _ := strings.Cut(f, ":"); strings.EqualFold(strings.TrimSpace(key), name) {
			values = append(values, strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "")))
		}
	}
	return values
}

// headerFields are the fields of a mail as they are, folds included.
func headerFields(mail []byte) []string {
	header, _, _ := strings.Cut(string(mail), "\r\n\r\n")
	var list []string
	for line := range strings.SplitSeq(header, "\r\n") {
		if len(list) > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			list[len(list)-1] += "\r\n" + line
		} else {
			list = append(list, line)
		}
	}
	return list
}

// without are the fields that have none of some names.
func without(list []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(f string) bool {
		key, _, _ := strings.Cut(f, ":")
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, key) })
	})
}

// bodyOf is what follows the header of a mail.
func bodyOf(mail []byte) string {
	_, body, _ := strings.Cut(string(mail), "\r\n\r\n")
	return body
}

// writeCertificate makes a self-signed certificate and returns a pool that trusts it.
func writeCertificate(t testing.TB, certFile, keyFile string, hosts ...string) *x509.CertPool {
	t.Helper()
	cert, pool := mailtest.SelfSigned(t, hosts...)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}
