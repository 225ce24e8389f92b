-- name: Instance :one
SELECT key_check FROM instance WHERE id = 1;

-- name: InitInstance :exec
INSERT INTO instance (id, key_check, change) VALUES (1, $1, 0) ON CONFLICT (id) DO NOTHING;

-- name: DKIMKeys :many
SELECT * FROM dkim_key ORDER BY selector;

-- name: SilenceDKIMKeys :exec
UPDATE dkim_key SET signs = FALSE WHERE signs;

-- name: InsertDKIMKey :exec
INSERT INTO dkim_key (selector, key, signs, created) VALUES ($1, $2, $3, $4);

-- The next time is set when the work is taken: if the taker dies, it is due again then.
-- name: TakeChore :execrows
INSERT INTO chore (name, due, lease) VALUES ($1, sqlc.arg(next), $2)
ON CONFLICT (name) DO UPDATE SET due = excluded.due, lease = excluded.lease WHERE chore.due <= sqlc.arg(now);
