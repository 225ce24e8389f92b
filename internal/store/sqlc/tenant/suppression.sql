-- name: HasSuppressions :one
SELECT EXISTS (SELECT 1 FROM suppression WHERE operator_id = $1);

-- name: PutSuppression :exec
INSERT INTO suppression (operator_id, address, reason, kind, detail, created, expires, hits, message_id, via) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (operator_id, address, reason, kind) DO UPDATE SET detail = excluded.detail, expires = excluded.expires, hits = excluded.hits,
  message_id = excluded.message_id, via = excluded.via;

-- name: Suppression :one
SELECT * FROM suppression WHERE operator_id = $1 AND address = $2 AND reason = $3 AND kind = $4;

-- name: SuppressionsOf :many
SELECT * FROM suppression WHERE operator_id = $1 AND address = $2 ORDER BY reason, kind;

-- name: IsExempt :one
SELECT EXISTS (SELECT 1 FROM suppression_exempt WHERE operator_id = $1 AND address = $2);

-- name: PutExempt :execrows
INSERT INTO suppression_exempt (operator_id, address, created) VALUES ($1, $2, $3) ON CONFLICT (operator_id, address) DO NOTHING;

-- name: DeleteExempt :execrows
DELETE FROM suppression_exempt WHERE operator_id = $1 AND address = $2;

-- name: CountExempt :one
SELECT COUNT(*) FROM suppression_exempt WHERE operator_id = $1;

-- name: Exempt :many
SELECT * FROM suppression_exempt WHERE operator_id = sqlc.arg(operator_id) AND address > sqlc.arg(after) ORDER BY address LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: SoftBounce :one
SELECT * FROM soft_bounce WHERE operator_id = $1 AND address = $2;

-- name: PutSoftBounce :exec
INSERT INTO soft_bounce (operator_id, address, count, since) VALUES ($1, $2, $3, $4)
ON CONFLICT (operator_id, address) DO UPDATE SET count = excluded.count, since = excluded.since;

-- name: DeleteSoftBounce :exec
DELETE FROM soft_bounce WHERE operator_id = $1 AND address = $2;

-- name: DeleteSuppression :exec
DELETE FROM suppression WHERE operator_id = $1 AND address = $2 AND reason = $3 AND kind = $4;
