-- name: InsertAudit :exec
INSERT INTO audit (id, operator_id, actor, actor_name, peer, action, target, detail, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: AuditLog :many
SELECT * FROM audit WHERE operator_id = $1 AND id < sqlc.arg(before) ORDER BY id DESC LIMIT CAST(sqlc.arg(most) AS bigint);
