-- An operator's row goes first: without it nobody signs in or sends for it.

-- name: InsertRemovedOperator :exec
INSERT INTO removed_operator (id, name, deleted, finished, messages, cancelled) VALUES ($1, $2, $3, 0, 0, 0);

-- name: RemovedOperator :one
SELECT * FROM removed_operator WHERE id = $1;

-- name: OpenRemovals :many
SELECT * FROM removed_operator WHERE finished = 0 ORDER BY deleted LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: OperatorRemoved :one
SELECT EXISTS (SELECT 1 FROM removed_operator WHERE id = $1);

-- name: CountRemoved :exec
UPDATE removed_operator SET messages = messages + $2, cancelled = cancelled + $3 WHERE id = $1;

-- name: FinishRemoval :execrows
UPDATE removed_operator SET finished = $2 WHERE id = $1 AND finished = 0;

-- name: DeleteOperator :exec
DELETE FROM operator WHERE id = $1;

-- name: Children :many
SELECT id, name FROM operator WHERE parent_id = $1 ORDER BY id;

-- name: MoveChildren :exec
UPDATE operator SET parent_id = sqlc.arg(to_parent) WHERE parent_id = $1;

-- name: NobodyActsFor :exec
UPDATE user_session SET acting_for = '' WHERE acting_for = $1;
