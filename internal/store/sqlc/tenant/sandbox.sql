-- Mail of kind security in a sandbox is for the platform owner alone.
-- name: Sandbox :many
SELECT id, operator_id, message_id, delivery_id, kind, mail_from, recipient, subject, size, created FROM sandbox
WHERE operator_id = $1 AND id < sqlc.arg(before) AND kind <> 'security' ORDER BY id DESC LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: SandboxEntry :one
SELECT id, operator_id, message_id, delivery_id, kind, mail_from, recipient, subject, size, created FROM sandbox
WHERE operator_id = $1 AND id = $2 AND kind <> 'security';

-- name: SandboxMail :one
SELECT * FROM sandbox WHERE operator_id = $1 AND id = $2 AND kind <> 'security';

-- name: EmptySandbox :execrows
DELETE FROM sandbox WHERE operator_id = $1 AND kind <> 'security';
