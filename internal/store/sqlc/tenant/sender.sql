-- name: Senders :many
SELECT * FROM sender WHERE operator_id = $1 ORDER BY address;

-- name: ClearDefaultSender :exec
UPDATE sender SET is_default = FALSE WHERE operator_id = $1 AND is_default;

-- name: PutDefaultSender :exec
INSERT INTO sender (id, operator_id, address, name, state, is_default, created)
VALUES ($1, $2, $3, $4, $5, TRUE, $6)
ON CONFLICT (operator_id, address) DO UPDATE SET name = excluded.name, is_default = TRUE;
