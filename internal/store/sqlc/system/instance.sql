-- name: Instance :one
SELECT key_check FROM instance WHERE id = 1;

-- name: InitInstance :exec
INSERT INTO instance (id, key_check, change) VALUES (1, $1, 0) ON CONFLICT (id) DO NOTHING;

-- name: DKIMKeys :many
SELECT * FROM dkim_key ORDER BY selector;

-- name: SilenceDKIMKeys :exec
UPDATE dkim_key SET signs = FALSE, started = 0, proposed = 0, wanted = 0, retired = sqlc.arg(now) WHERE signs;

-- name: InsertDKIMKey :exec
INSERT INTO dkim_key (selector, key, signs, created, started, announced) VALUES ($1, $2, $3, $4, $5, $6);

-- name: WantDKIMKey :execrows
UPDATE dkim_key SET wanted = sqlc.arg(now) WHERE selector = $1 AND NOT signs AND retired = 0 AND wanted = 0;

-- created tells the keys of a selector apart: what was noted of one is not about the next.
-- name: NoteDKIMKey :execrows
UPDATE dkim_key SET proposed = $1, seen = $2, cached = $3, ttl = $4, announced = $5
WHERE selector = $6 AND created = $7 AND signs = $8 AND retired = $9;

-- name: RaiseDKIMKey :execrows
UPDATE dkim_key SET signs = TRUE, started = sqlc.arg(now), wanted = 0
WHERE selector = $1 AND created = $2 AND NOT signs AND wanted > 0 AND retired = 0;

-- name: ReplaceDKIMKey :execrows
UPDATE dkim_key SET key = $1, created = sqlc.arg(now), wanted = 0, seen = 0, cached = 0, ttl = 0, retired = 0, announced = 0
WHERE selector = $2 AND created = $3 AND NOT signs AND retired > 0;

-- All domains are signed with another key now: whose record of it is gone must be known soon.
-- name: RecheckDomains :exec
UPDATE domain SET next_check = sqlc.arg(now) WHERE authorized > 0 AND next_check > sqlc.arg(now);

-- name: HurryChore :exec
UPDATE chore SET due = $1 WHERE name = $2 AND due > $1;

-- The next time is set when the work is taken: if the taker dies, it is due again then.
-- name: TakeChore :execrows
INSERT INTO chore (name, due, lease) VALUES ($1, sqlc.arg(next), $2)
ON CONFLICT (name) DO UPDATE SET due = excluded.due, lease = excluded.lease WHERE chore.due <= sqlc.arg(now);

-- Unless somebody else has made it due meanwhile.
-- name: MoveChore :exec
UPDATE chore SET due = sqlc.arg(next) WHERE name = $1 AND due = sqlc.arg(taken);

-- name: SetSetting :exec
INSERT INTO setting (section, value) VALUES ($1, $2) ON CONFLICT (section) DO UPDATE SET value = excluded.value;
