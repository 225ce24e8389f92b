-- name: Operator :one
SELECT * FROM operator WHERE id = $1;

-- name: UpdateOperator :exec
UPDATE operator SET name = $2, product = $3, contact = $4, suspended = $5, gateway = $6, uncertain_policy = $7,
  reply_to = $8, signature_text = $9, signature_html = $10, per_minute = $11,
  per_day = $12, trusted = $13
WHERE id = $1;

-- One of two statements without an operator: what a product may use is no tenant's secret.
-- name: Entitlements :many
SELECT gateway, allowed FROM entitlement WHERE product = $1;

-- name: Reputation :one
SELECT * FROM reputation WHERE operator_id = $1;

-- name: BuiltinAccepted :one
SELECT CAST(COALESCE(SUM(builtin_accepted), 0) AS bigint) FROM rollup WHERE operator_id = $1 AND hour >= sqlc.arg(first_hour);

-- name: BuiltinHours :many
SELECT hour, CAST(SUM(builtin_ended) AS bigint) AS ended, CAST(SUM(builtin_bounced) AS bigint) AS bounced,
  CAST(SUM(builtin_complaints) AS bigint) AS complaints
FROM rollup WHERE operator_id = $1 AND hour >= sqlc.arg(first_hour) GROUP BY hour ORDER BY hour;

-- The other one: what the owner has chosen for all.
-- name: Settings :many
SELECT section, value FROM setting ORDER BY section;
