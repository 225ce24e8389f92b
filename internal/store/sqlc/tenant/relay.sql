-- name: Relay :one
SELECT * FROM relay WHERE operator_id = $1;

-- name: PutRelay :exec
INSERT INTO relay (operator_id, host, port, security, trust_all, username, password, updated,
  failing_since, failing_why, next_probe, probes, notice_sent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '', 0, 0, 0)
ON CONFLICT (operator_id) DO UPDATE SET host = excluded.host, port = excluded.port, security = excluded.security,
  trust_all = excluded.trust_all, username = excluded.username, password = excluded.password, updated = excluded.updated,
  failing_since = 0, failing_why = '', next_probe = 0, probes = 0, notice_sent = 0;
