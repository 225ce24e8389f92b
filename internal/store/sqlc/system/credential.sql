-- name: CredentialByHash :one
SELECT id, operator_id, name, key_hint, networks, scopes, test, default_kind, from_policy, created, revoked, used
FROM credential WHERE key_hash = $1;

-- name: NetworkCredentials :many
SELECT id, operator_id, name, key_hint, networks, scopes, test, default_kind, from_policy, created, revoked, used
FROM credential WHERE revoked = 0 AND networks <> '[]' ORDER BY id;

-- name: AllCredentials :many
SELECT id, operator_id, name, key_hint, networks, scopes, test, default_kind, from_policy, created, revoked, used
FROM credential ORDER BY id;

-- name: InsertCredential :exec
INSERT INTO credential (id, operator_id, name, key_hash, key_hint, networks, scopes, test, default_kind, from_policy, created, revoked)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0);

-- name: CredentialKnownAs :one
SELECT operator_id, name, key_hint FROM credential WHERE id = $1;

-- name: RevokeCredential :execrows
UPDATE credential SET revoked = $2 WHERE id = $1 AND revoked = 0;

-- name: CredentialUsed :exec
UPDATE credential SET used = $2 WHERE id = $1 AND used < $2;
