package system_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// BenchmarkReputationCases is one look of the guard at operators that all sent two kinds of
// mail in every hour of the week.
func BenchmarkReputationCases(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *storetest.DB{"sqlite": storetest.OpenSQLite, "postgres": storetest.OpenPostgres} {
		for _, operators := range []int{200, 5_000} {
			b.Run(fmt.Sprintf("%s/%d", name, operators), func(b *testing.B) {
				db, now := open(b), time.Now()
				db.Exec(b, `INSERT INTO operator (id, parent_id, name, product, contact, suspended, gateway, uncertain_policy, reply_to, signature_text, signature_html, created)
WITH RECURSIVE n(i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < $1)
SELECT 'operator-' || CAST(i AS text), '', 'x', 'servermate', '', FALSE, 'builtin', 'retry', '', '', '', 0 FROM n`, operators)
				db.Exec(b, `INSERT INTO counter (operator_id, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain, builtin_at)
SELECT id, 'node', 0, 0, 0, 0, 0, 0, 0, $1 FROM operator`, waypost.Millis(now))
				db.Exec(b, `INSERT INTO rollup (operator_id, hour, kind, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain, builtin_ended, builtin_bounced)
WITH RECURSIVE n(i) AS (SELECT CAST(0 AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < 167)
SELECT o.id, $1 - n.i, k.kind, 'node', 10, 10, 0, 0, 0, 0, 0, 10, 0 FROM operator o, n, (SELECT 'event' AS kind UNION ALL SELECT 'report') k`, now.Unix()/3600)
				b.ResetTimer()
				for b.Loop() {
					cases, err := db.System.ReputationCases(b.Context(), now)
					if err != nil || len(cases) != operators || cases[0].Windows.Week.Ended != 3_360 {
						b.Fatal(len(cases), err)
					}
				}
			})
		}
	}
}
