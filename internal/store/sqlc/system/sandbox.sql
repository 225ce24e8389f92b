-- name: Sandbox :many
SELECT id, operator_id, message_id, delivery_id, kind, mail_from, recipient, subject, size, created FROM sandbox
WHERE id < sqlc.arg(before) AND (operator_id = sqlc.arg(operator_id) OR CAST(sqlc.arg(operator_id) AS text) = '')
ORDER BY id DESC LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: SandboxMail :one
SELECT * FROM sandbox WHERE id = $1;
