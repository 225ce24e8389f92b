-- name: Idempotency :one
SELECT * FROM idempotency WHERE operator_id = $1 AND key = $2;

-- name: Content :one
SELECT m.kind, m.erased, m.header, b.data,
  COALESCE(b.file, '') AS file, COALESCE(b.file_at, 0) AS file_at,
  COALESCE(b.file_size, 0) AS file_size, COALESCE(b.file_sum, 0) AS file_sum
FROM message m LEFT JOIN body b ON b.id = m.body_id
WHERE m.operator_id = $1 AND m.id = $2;

-- name: MessageSize :one
SELECT size FROM message WHERE operator_id = $1 AND id = $2;

-- name: Events :many
SELECT * FROM event WHERE operator_id = $1 AND message_id = $2 ORDER BY id;

-- The operator is asked of the message: asked of the delivery, it would lead the planner
-- to an index of all the operator's mail.
-- name: Attempts :many
SELECT a.* FROM message m JOIN delivery d ON d.message_id = m.id JOIN attempt a ON a.delivery_id = d.id
WHERE m.operator_id = $1 AND m.id = $2
ORDER BY a.started, a.delivery_id, a.number;

-- name: Feedback :many
SELECT f.* FROM message m JOIN delivery d ON d.message_id = m.id JOIN feedback f ON f.delivery_id = d.id
WHERE m.operator_id = $1 AND m.id = $2
ORDER BY f.at, f.delivery_id, f.sort;

-- name: Counter :one
SELECT CAST(COALESCE(SUM(accepted), 0) AS bigint) AS accepted, CAST(COALESCE(SUM(delivered), 0) AS bigint) AS delivered,
  CAST(COALESCE(SUM(bounced), 0) AS bigint) AS bounced, CAST(COALESCE(SUM(expired), 0) AS bigint) AS expired,
  CAST(COALESCE(SUM(cancelled), 0) AS bigint) AS cancelled, CAST(COALESCE(SUM(suppressed), 0) AS bigint) AS suppressed,
  CAST(COALESCE(SUM(uncertain), 0) AS bigint) AS uncertain
FROM counter WHERE operator_id = $1;

-- Three counts, each inside one partial index.
-- name: Queued :one
SELECT CAST((SELECT COUNT(*) FROM delivery d WHERE d.state = 'queued' AND d.lease = '' AND NOT d.held
    AND d.lane IN (0, 1, 2, 3) AND d.operator_id = $1)
  + (SELECT COUNT(*) FROM delivery l WHERE l.lease > '' AND l.lease <> '' AND l.state = 'queued' AND l.operator_id || '' = $1)
  + (SELECT COUNT(*) FROM delivery h WHERE h.state = 'queued' AND h.held AND h.lease = '' AND h.operator_id = $1) AS bigint);

-- name: Rollup :many
SELECT hour, kind, CAST(SUM(accepted) AS bigint) AS accepted, CAST(SUM(delivered) AS bigint) AS delivered,
  CAST(SUM(bounced) AS bigint) AS bounced, CAST(SUM(expired) AS bigint) AS expired,
  CAST(SUM(cancelled) AS bigint) AS cancelled, CAST(SUM(suppressed) AS bigint) AS suppressed,
  CAST(SUM(uncertain) AS bigint) AS uncertain
FROM rollup WHERE operator_id = $1 AND hour >= sqlc.arg(first_hour) AND hour < sqlc.arg(end_hour)
GROUP BY hour, kind ORDER BY hour, kind;
