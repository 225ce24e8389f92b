-- name: Operators :many
SELECT * FROM operator WHERE id > sqlc.arg(after) ORDER BY id LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: OperatorExists :one
SELECT EXISTS (SELECT 1 FROM operator WHERE id = $1);

-- name: OperatorParent :one
SELECT name, parent_id FROM operator WHERE id = $1;

-- name: SetOperatorParent :exec
UPDATE operator SET parent_id = $2 WHERE id = $1;

-- name: InsertOperator :exec
INSERT INTO operator (id, parent_id, name, product, contact, suspended, gateway, uncertain_policy, reply_to,
  signature_text, signature_html, per_minute, created, per_day, trusted)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (id) DO NOTHING;

-- name: Entitlements :many
SELECT gateway, allowed, initial FROM entitlement WHERE product = $1 ORDER BY gateway;

-- name: SetRelayHealth :execrows
UPDATE relay SET failing_since = $2, failing_why = $3, next_probe = $4, probes = $5, notice_sent = $6 WHERE operator_id = $1;

-- name: RelaysFailing :one
SELECT COUNT(*) FROM relay WHERE failing_since <> 0;

-- name: AllEntitlements :many
SELECT product, gateway, allowed, initial FROM entitlement ORDER BY product, gateway;

-- name: SetEntitlement :exec
INSERT INTO entitlement (product, gateway, allowed, initial) VALUES ($1, $2, $3, $4)
ON CONFLICT (product, gateway) DO UPDATE SET allowed = excluded.allowed, initial = excluded.initial;
