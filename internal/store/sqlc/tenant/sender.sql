-- name: Senders :many
SELECT * FROM sender WHERE operator_id = $1 ORDER BY address;

-- name: ClearDefaultSender :exec
UPDATE sender SET is_default = FALSE WHERE operator_id = $1 AND is_default;

-- An old one keeps its state, unless it is only now that it may be assigned.
-- name: PutDefaultSender :exec
INSERT INTO sender (id, operator_id, address, name, state, is_default, created, decided)
VALUES ($1, $2, $3, $4, $5, TRUE, $6, $7)
ON CONFLICT (operator_id, address) DO UPDATE SET name = excluded.name, is_default = TRUE,
  state = CASE WHEN sender.state = 'requested' THEN excluded.state ELSE sender.state END,
  decided = CASE WHEN sender.state = 'requested' THEN excluded.decided ELSE sender.decided END;

-- name: Sender :one
SELECT * FROM sender WHERE operator_id = $1 AND id = $2;

-- name: SenderAt :one
SELECT * FROM sender WHERE operator_id = $1 AND address = $2;

-- name: CountSenders :one
SELECT COUNT(*) FROM sender WHERE operator_id = $1;

-- name: InsertSender :execrows
INSERT INTO sender (id, operator_id, address, name, state, is_default, reason, decided, created)
VALUES ($1, $2, $3, $4, $5, FALSE, '', $6, $7)
ON CONFLICT (operator_id, address) DO NOTHING;

-- name: DeleteSender :execrows
DELETE FROM sender WHERE operator_id = $1 AND id = $2;

-- name: SetDefaultSender :execrows
UPDATE sender SET is_default = (id = $2) WHERE operator_id = $1 AND (is_default OR id = $2);

-- name: RenameSender :execrows
UPDATE sender SET name = $3 WHERE operator_id = $1 AND id = $2;
