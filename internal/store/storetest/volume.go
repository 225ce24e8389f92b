package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Volume is a lot of mail as thirty days of a platform leave it, for measurements: rows
// without bodies, accepted at even distances. Six of ten messages are the first operator's,
// the rest is spread over the others. Every fiftieth has three recipients; most are
// delivered, of each state there are some, and the newest two thousand are queued for
// tomorrow.
type Volume struct {
	Operators []string // two at least; they need no rows of their own
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

// Fill writes a volume of mail: messages, deliveries, counters and what charts are made of.
func (db *DB) Fill(t testing.TB, v Volume) {
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
	fill := func(text string) string {
		return strings.ReplaceAll(replace.Replace(text), "{n}", fmt.Sprint(v.Messages))
	}
	first, step := v.Until.UnixMilli()-volumeAge.Milliseconds(), v.step()
	series := fmt.Sprintf(`WITH RECURSIVE s(i, at) AS (
  SELECT CAST($1 AS BIGINT), CAST($1 AS BIGINT) * %d + %d UNION ALL SELECT i + 1, at + %d FROM s WHERE i + 1 < $2) `, step, first, step)
	day := time.Hour.Milliseconds() * 24
	messages := fill(fmt.Sprintf(`INSERT INTO message (id, operator_id, batch_id, credential_id, source, kind, lane, test, mail_from, from_addr, from_name,
  subject, header_id, size, eight_bit, header_utf8, tags, metadata, created, send_at, expires, erase_at, erased, body_id, header) %s
SELECT {message}, {of}, '', '', 'api', {kind}, {lane}, FALSE, 'no-reply@platform.example', 'no-reply@platform.example', 'Fleet',
  'Vehicle ' || (i %% 5000) || ' left zone ' || (i %% 37), '', 2000, FALSE, FALSE, '', '', at, 0, at + %d, at + %d, 0, '', $3 FROM s`, series, 2*day, 60*day))
	deliveries := fill(fmt.Sprintf(`INSERT INTO delivery (id, operator_id, message_id, recipient, address, site, kind, lane, state, held, control,
  attempts, step, next_at, expires, lease, epoch, route, cause, reason, created, updated) %s
SELECT {delivery}, {of}, {message}, {to}, {to}, {site}, {kind}, {lane}, {state}, FALSE, '',
  1, 0, at + %d, at + %d, '', 1, 'mx', '', '', at, at + 1500 FROM s JOIN (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2) copies ON k = 0 OR i %% 50 = 0`,
		series, day, 2*day))
	indexes := db.dropIndexes(t)
	for from := 0; from < v.Messages; from += volumeChunk {
		to := min(from+volumeChunk, v.Messages)
		db.Exec(t, messages, from, to, []byte("Subject: a notification\r\n"))
		db.Exec(t, deliveries, from, to)
	}
	for _, definition := range indexes {
		db.Exec(t, definition)
	}
	db.count(t)
	if db.Name == "postgres" {
		db.Exec(t, "ANALYZE") // as a server in use does by itself
	}
}

// dropIndexes drops the indexes of messages and deliveries and returns what makes them
// again: that is many times quicker than to keep them up meanwhile.
func (db *DB) dropIndexes(t testing.TB) (definitions []string) {
	t.Helper()
	query := "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name IN ('message', 'delivery')"
	if db.Name == "postgres" {
		query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('message', 'delivery') AND indexname NOT LIKE '%_pkey'"
	}
	rows, err := db.Engine.Reader().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = engine.Each(rows, func(rows *sql.Rows) error {
		var name, definition string
		err := rows.Scan(&name, &definition)
		names, definitions = append(names, name), append(definitions, definition)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		db.Exec(t, "DROP INDEX "+name)
	}
	return definitions
}

// hex is an expression's value in so many hexadecimal digits.
func (db *DB) hex(expression string, digits int) string {
	if db.Name == "postgres" {
		return fmt.Sprintf("lpad(to_hex(%s), %d, '0')", expression, digits)
	}
	return fmt.Sprintf("printf('%%0%dx', %s)", digits, expression)
}

// count writes the counters that belong to the rows there are.
func (db *DB) count(t testing.TB) {
	t.Helper()
	sums := "COUNT(*)"
	for _, state := range waypost.FinalStates() {
		sums += fmt.Sprintf(", SUM(CASE WHEN state = '%s' THEN 1 ELSE 0 END)", state)
	}
	columns := "accepted"
	for _, state := range waypost.FinalStates() {
		columns += ", " + string(state)
	}
	err := db.Store.Write(t.Context(), func(ctx context.Context, tx *engine.Tx) error {
		for _, statement := range []string{
			"INSERT INTO counter (operator_id, node, " + columns + ") SELECT operator_id, 'node-a', " + sums + " FROM delivery GROUP BY operator_id",
			"INSERT INTO rollup (operator_id, hour, kind, node, " + columns + ") SELECT operator_id, created / 3600000, kind, 'node-a', " + sums +
				" FROM delivery GROUP BY operator_id, created / 3600000, kind",
			"INSERT INTO rollup (operator_id, hour, kind, node, " + columns + ") SELECT '', created / 3600000, kind, 'node-a', " + sums +
				" FROM delivery GROUP BY created / 3600000, kind",
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
