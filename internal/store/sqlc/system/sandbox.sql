-- name: Sandbox :many
SELECT id, operator_id, message_id, delivery_id, kind, mail_from, recipient, subject, size, created FROM sandbox
WHERE id < sqlc.arg(before) ORDER BY id DESC LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: SandboxOf :many
SELECT id, operator_id, message_id, delivery_id, kind, mail_from, recipient, subject, size, created FROM sandbox
WHERE operator_id = $1 AND id < sqlc.arg(before) ORDER BY id DESC LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: SandboxEntry :one
SELECT id, operator_id, message_id, delivery_id, kind, mail_from, recipient, subject, size, created FROM sandbox WHERE id = $1;

-- name: SandboxMail :one
SELECT * FROM sandbox WHERE id = $1;

-- Mail that came from outside has no message: of it all but the newest are dropped.
-- name: DropOldReceived :execrows
DELETE FROM sandbox WHERE sandbox.operator_id = $1 AND sandbox.message_id = '' AND sandbox.id <= (
  SELECT s.id FROM sandbox s WHERE s.operator_id = $1 AND s.message_id = ''
  ORDER BY s.id DESC LIMIT 1 OFFSET CAST(sqlc.arg(keep) AS bigint));
