package storetest

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// Volume is a lot of mail as thirty days of a platform leave it, for measurements: rows
// without bodies, accepted at even distances. Six of ten messages are the first operator's,
// the rest is spread over the others. Every fiftieth has three recipients; most are
// delivered, of each state there are some, and the newest two thousand are queued for
// tomorrow.
type Volume struct {
	Operators []string
	Messages  int
	Until     time.Time // when the newest was accepted
}

const (
	volumeAge   = 30 * 24 * time.Hour
	volumeChunk = 200_000 // messages written in a transaction
)

// Recipient is who the message with a number was sent to.
func (v Volume) Recipient(number int) string {
	return fmt.Sprintf("driver%d@site%d.example", number*7919%200_003, number*number%97)
}

// MessageID is the id of the message with a number, counted from the oldest, which is 0.
func (v Volume) MessageID(number int) string {
	at := v.Until.UnixMilli() - volumeAge.Milliseconds() + int64(number)*v.step()
	return fmt.Sprintf("%08x-%04x-7%03x-8000-%012x", at>>16, at&0xffff, number&0xfff, number)
}

// step is the time between two messages in milliseconds.
func (v Volume) step() int64 { return max(1, volumeAge.Milliseconds()/int64(v.Messages)) }

// volumeOperators is how many operators a volume is of.
const volumeOperators = 200

// OpenVolume opens a new database, "sqlite" or "postgres", with so many messages.
func OpenVolume(t testing.TB, name string, messages int) (*DB, Volume) {
	t.Helper()
	v := Volume{Messages: messages, Until: time.Now().Truncate(time.Second)}
	url := filepath.Join(t.TempDir(), "waypost.db")
	if name == "postgres" {
		url = PostgresURL(t)
	}
	e, err := engine.Open(t.Context(), engine.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	db := &DB{URL: url, Name: name, System: system.New(store.New(e, "node-a"))}
	if err := db.System.InitInstance(t.Context(), "key check"); err != nil {
		t.Fatal(err)
	}
	for n := range volumeOperators {
		o, err := db.System.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{Name: fmt.Sprint("Operator ", n), Product: waypost.ProductServermate})
		if err != nil {
			t.Fatal(err)
		}
		v.Operators = append(v.Operators, o.ID)
	}
	if err := e.Close(); err != nil { // nobody else looks meanwhile
		t.Fatal(err)
	}
	db.fill(t, v)
	return openURL(t, url, "node-a"), v
}

// fill writes a volume of mail: messages, deliveries, counters and what charts are made of.
func (db *DB) fill(t testing.TB, v Volume) {
	t.Helper()
	ids := make([]string, len(v.Operators))
	for n, id := range v.Operators {
		ids[n] = fmt.Sprintf("WHEN %d THEN '%s'", n, id)
	}
	replace := strings.NewReplacer(
		"{of}", "CASE CASE WHEN i / 3 % 10 < 6 THEN 0 ELSE 1 + i * 7919 % "+fmt.Sprint(len(v.Operators)-1)+" END "+strings.Join(ids, " ")+" END",
		"{message}", db.hex("at / 65536", 8)+" || '-' || "+db.hex("at % 65536", 4)+" || '-7' || "+db.hex("i % 4096", 3)+" || '-8000-' || "+db.hex("i", 12),
		"{delivery}", db.hex("at / 65536", 8)+" || '-' || "+db.hex("at % 65536", 4)+" || '-7' || "+db.hex("i % 4096", 3)+" || '-800' || k || '-' || "+db.hex("i", 12),
		"{to}", "'driver' || ((i * 7919 + k) % 200003) || '@site' || (i * i % 97) || '.example'",
		"{site}", "'site' || (i * i % 97) || '.example'",
		"{kind}", "CASE WHEN i % 20 = 1 THEN 'balance' WHEN i % 10 = 2 THEN 'report' ELSE 'event' END",
		"{lane}", "CASE WHEN i % 10 = 2 THEN 2 ELSE 1 END",
		"{state}", `CASE WHEN i >= {n} - 2000 THEN 'queued' WHEN i % 50 = 7 THEN 'bounced' WHEN i % 300 = 17 THEN 'suppressed'
			WHEN i % 500 = 13 THEN 'cancelled' WHEN i % 700 = 19 THEN 'expired' ELSE 'delivered' END`,
	)
	expand := func(text string) string {
		return strings.ReplaceAll(replace.Replace(text), "{n}", fmt.Sprint(v.Messages))
	}
	first, step := v.Until.UnixMilli()-volumeAge.Milliseconds(), v.step()
	series := fmt.Sprintf(`WITH RECURSIVE s(i, at) AS (
  SELECT CAST($1 AS BIGINT), CAST($1 AS BIGINT) * %d + %d UNION ALL SELECT i + 1, at + %d FROM s WHERE i + 1 < $2) `, step, first, step)
	day := time.Hour.Milliseconds() * 24
	messages := expand(fmt.Sprintf(`INSERT INTO message (id, operator_id, batch_id, credential_id, source, kind, lane, test, mail_from, from_addr, from_name,
  subject, header_id, size, eight_bit, header_utf8, tags, metadata, created, send_at, expires, erase_at, erased, body_id, header) %s
SELECT {message}, {of}, '', '', 'api', {kind}, {lane}, FALSE, 'no-reply@platform.example', 'no-reply@platform.example', 'Fleet',
  'Vehicle ' || (i %% 5000) || ' left zone ' || (i %% 37), '', 2000, FALSE, FALSE, '', '', at, 0, at + %d, at + %d, 0, '', $3 FROM s`, series, 2*day, 60*day))
	deliveries := expand(fmt.Sprintf(`INSERT INTO delivery (id, operator_id, message_id, recipient, address, site, kind, lane, state, held, control,
  attempts, step, next_at, expires, lease, epoch, route, cause, reason, created, updated) %s
SELECT {delivery}, {of}, {message}, {to}, {to}, {site}, {kind}, {lane}, {state}, FALSE, '',
  1, 0, at + %d, at + %d, '', 1, 'mx', '', '', at, at + 1500 FROM s JOIN (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2) copies ON k = 0 OR i %% 50 = 0`,
		series, day, 2*day))
	conn := db.conn(t)
	defer conn.Close()
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatalf("%.100s: %v", statement, err)
		}
	}
	// To make the indexes at the end is many times quicker than to keep them up.
	names, definitions := db.indexes(t, conn)
	for _, name := range names {
		exec("DROP INDEX " + name)
	}
	for from := 0; from < v.Messages; from += volumeChunk {
		to := min(from+volumeChunk, v.Messages)
		exec(messages, from, to, []byte("Subject: a notification\r\n"))
		exec(deliveries, from, to)
	}
	for _, definition := range definitions {
		exec(definition)
	}
	for _, statement := range counting() {
		exec(statement)
	}
	if db.Name == "postgres" {
		exec("ANALYZE") // as a server in use does by itself
	}
}

// conn is a connection that nothing hurries and that need not survive anything.
func (db *DB) conn(t testing.TB) *sql.Conn {
	t.Helper()
	driver, settings := "sqlite", []string{"PRAGMA journal_mode = off", "PRAGMA synchronous = off", "PRAGMA cache_size = -1000000"}
	if db.Name == "postgres" {
		driver, settings = "pgx", []string{"SET synchronous_commit = off", "SET maintenance_work_mem = '1GB'"}
		_ = stdlib.GetDefaultDriver() // registers it
	}
	pool, err := sql.Open(driver, db.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range settings {
		if _, err := conn.ExecContext(t.Context(), setting); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// indexes are those of messages and deliveries, and what makes them again.
func (db *DB) indexes(t testing.TB, conn *sql.Conn) (names, definitions []string) {
	t.Helper()
	query := "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name IN ('message', 'delivery')"
	if db.Name == "postgres" {
		query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('message', 'delivery') AND indexname NOT LIKE '%_pkey'"
	}
	rows, err := conn.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var name, definition string
		err := rows.Scan(&name, &definition)
		names, definitions = append(names, name), append(definitions, definition)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names, definitions
}

// hex is an expression's value in so many hexadecimal digits.
func (db *DB) hex(expression string, digits int) string {
	if db.Name == "postgres" {
		return fmt.Sprintf("lpad(to_hex(%s), %d, '0')", expression, digits)
	}
	return fmt.Sprintf("printf('%%0%dx', %s)", digits, expression)
}

// counting are the statements that write the counters that belong to the rows there are.
func counting() []string {
	columns, sums := "accepted", "COUNT(*)"
	for _, state := range waypost.FinalStates() {
		columns += ", " + string(state)
		sums += fmt.Sprintf(", SUM(CASE WHEN state = '%s' THEN 1 ELSE 0 END)", state)
	}
	var list []string
	for into, by := range map[string]string{
		"counter (operator_id, ":            "operator_id",
		"rollup (operator_id, hour, kind, ": "operator_id, created / 3600000, kind",
		"rollup (hour, kind, operator_id, ": "created / 3600000, kind",
	} {
		of := by
		if !strings.HasPrefix(by, "operator_id") {
			of += ", ''" // all of the platform
		}
		list = append(list, fmt.Sprintf("INSERT INTO %snode, %s) SELECT %s, 'node-a', %s FROM delivery GROUP BY %s", into, columns, of, sums, by))
	}
	return list
}
