-- name: Operator :one
SELECT * FROM operator WHERE id = $1;

-- name: UpdateOperator :exec
UPDATE operator SET name = $2, product = $3, contact = $4, suspended = $5, gateway = $6, uncertain_policy = $7,
  reply_to = $8, signature_text = $9, signature_html = $10, per_minute = $11
WHERE id = $1;

-- One of two statements without an operator: what a product may use is no tenant's secret.
-- name: Entitlements :many
SELECT gateway, allowed FROM entitlement WHERE product = $1;

-- The other one: what the owner has chosen for all.
-- name: Settings :many
SELECT section, value FROM setting ORDER BY section;
