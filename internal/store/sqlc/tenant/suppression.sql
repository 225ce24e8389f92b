-- name: HasSuppressions :one
SELECT EXISTS (SELECT 1 FROM suppression WHERE operator_id = $1);

-- name: PutSuppression :exec
INSERT INTO suppression (operator_id, address, reason, detail, created, expires) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (operator_id, address, reason) DO UPDATE SET detail = excluded.detail, expires = excluded.expires;

-- name: DeleteSuppression :execrows
DELETE FROM suppression WHERE operator_id = $1 AND address = $2 AND reason = $3;
