-- name: InsertDomain :exec
INSERT INTO domain (id, operator_id, name, proof, proven, authorized, return_path, watch, report, checked, next_check, looked, created)
VALUES ($1, $2, $3, $4, 0, 0, FALSE, '', '', 0, $5, $5, $5);

-- name: Domains :many
SELECT * FROM domain WHERE operator_id = $1 ORDER BY name;

-- name: CountDomains :one
SELECT COUNT(*) FROM domain WHERE operator_id = $1;

-- name: Domain :one
SELECT * FROM domain WHERE operator_id = $1 AND id = $2;

-- name: ProvenDomains :many
SELECT id, operator_id, name, proof, proven, authorized, return_path, created FROM domain
WHERE operator_id = $1 AND proven > 0 ORDER BY name;

-- name: DeleteDomain :execrows
DELETE FROM domain WHERE operator_id = $1 AND id = $2;

-- Somebody looks: a check that is later than soon comes soon.
-- name: LookAtDomain :execrows
UPDATE domain SET looked = sqlc.arg(now),
  next_check = CASE WHEN next_check > sqlc.arg(soon) THEN CAST(sqlc.arg(soon) AS bigint) ELSE next_check END
WHERE operator_id = $1 AND id = $2;

-- name: SetDomainProof :execrows
UPDATE domain SET proof = $3, proven = 0, authorized = 0, watch = '', next_check = $4 WHERE operator_id = $1 AND id = $2;

-- name: InsertDomainEvent :exec
INSERT INTO domain_event (id, operator_id, domain_id, name, type, actor, detail, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: DomainEvents :many
SELECT * FROM domain_event WHERE operator_id = $1 AND name = $2 AND id < sqlc.arg(before)
ORDER BY id DESC LIMIT CAST(sqlc.arg(most) AS bigint);
