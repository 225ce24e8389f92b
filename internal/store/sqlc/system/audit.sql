-- name: AuditLog :many
SELECT * FROM audit WHERE id < sqlc.arg(before) ORDER BY id DESC LIMIT CAST(sqlc.arg(most) AS bigint);
