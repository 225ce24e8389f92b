-- name: DomainsNamed :many
SELECT * FROM domain WHERE name = $1 ORDER BY id;

-- name: AnyDomain :one
SELECT * FROM domain WHERE id = $1;

-- The answer of a check counts only if nothing else was written since it began.
-- name: SaveDomainCheck :execrows
UPDATE domain SET proven = $3, authorized = $4, return_path = $5, watch = $6, report = $7, checked = $8, next_check = $9
WHERE id = $1 AND checked = sqlc.arg(before) AND proof = $2;

-- name: LoseDomain :execrows
UPDATE domain SET proven = 0, authorized = 0, watch = '', next_check = $3 WHERE id = $1 AND proof = $2 AND proven > 0;

-- name: SendersWaiting :many
SELECT * FROM sender WHERE state = 'requested' AND id > sqlc.arg(after) ORDER BY id LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: AnySender :one
SELECT * FROM sender WHERE id = $1;

-- name: DecideSender :execrows
UPDATE sender SET state = $3, reason = $4, decided = $5 WHERE operator_id = $1 AND id = $2 AND state = sqlc.arg(old);

-- name: DomainsWithoutProof :many
SELECT * FROM domain WHERE proof = '' AND id > sqlc.arg(after) ORDER BY id LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: AllDomains :many
SELECT * FROM domain WHERE id > sqlc.arg(after) ORDER BY id LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: OperatorSenders :many
SELECT * FROM sender WHERE operator_id = $1 ORDER BY address;
