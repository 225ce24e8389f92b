-- name: Credentials :many
SELECT id, operator_id, name, key_hint, networks, scopes, test, default_kind, from_policy, created, revoked, used
FROM credential WHERE operator_id = $1 ORDER BY id;

-- name: CredentialKnownAs :one
SELECT operator_id, name, key_hint FROM credential WHERE operator_id = $1 AND id = $2;

-- name: RevokeCredential :execrows
UPDATE credential SET revoked = $3 WHERE operator_id = $1 AND id = $2 AND revoked = 0;

-- name: CredentialPage :many
SELECT id, operator_id, name, key_hint, networks, scopes, test, default_kind, from_policy, created, revoked, used
FROM credential WHERE operator_id = $1 AND id < sqlc.arg(before) ORDER BY id DESC LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: Credential :one
SELECT id, operator_id, name, key_hint, networks, scopes, test, default_kind, from_policy, created, revoked, used
FROM credential WHERE operator_id = $1 AND id = $2;
