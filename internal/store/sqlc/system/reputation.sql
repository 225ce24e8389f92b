-- name: Reputations :many
SELECT * FROM reputation WHERE operator_id >= sqlc.arg(first) AND operator_id <= sqlc.arg(last) ORDER BY operator_id;

-- name: PutReputation :exec
INSERT INTO reputation (operator_id, level, since, why, figures, frozen_at, calm_since, trouble_at, counted_from,
  base_ended, base_bounced, base_complaints, changed_by, told)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (operator_id) DO UPDATE SET level = excluded.level, since = excluded.since, why = excluded.why,
  figures = excluded.figures, frozen_at = excluded.frozen_at, calm_since = excluded.calm_since, trouble_at = excluded.trouble_at,
  counted_from = excluded.counted_from, base_ended = excluded.base_ended, base_bounced = excluded.base_bounced,
  base_complaints = excluded.base_complaints, changed_by = excluded.changed_by, told = excluded.told;

-- name: SetReputationCalm :exec
UPDATE reputation SET calm_since = $2 WHERE operator_id = $1;

-- name: SetReputationTold :exec
UPDATE reputation SET told = $3 WHERE operator_id = $1 AND since = $2 AND told = 0;

-- name: UntoldReputations :many
SELECT * FROM reputation WHERE level <> 'ok' AND told = 0 ORDER BY operator_id LIMIT 100;

-- name: CountReputations :many
SELECT level, CAST(COUNT(*) AS bigint) AS count FROM reputation WHERE level <> 'ok' GROUP BY level;

-- name: OperatorName :one
SELECT name FROM operator WHERE id = $1;
