-- name: Webhooks :many
SELECT * FROM webhook WHERE operator_id = $1 ORDER BY id;

-- name: Webhook :one
SELECT * FROM webhook WHERE operator_id = $1 AND id = $2;

-- name: CountWebhooks :one
SELECT COUNT(*) FROM webhook WHERE operator_id = $1;

-- name: InsertWebhook :exec
INSERT INTO webhook (id, operator_id, url, description, types, max_events, secret, old_secret, old_until, enabled, disabled_at, disabled_why,
  failing_since, failing_why, failures, next_at, warned, notice, lease, epoch, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, TRUE, 0, '', 0, '', 0, 0, FALSE, '', '', 0, $9);

-- name: ChangeWebhook :exec
UPDATE webhook SET url = $3, description = $4, types = $5, max_events = $6 WHERE operator_id = $1 AND id = $2;

-- What was found out about the endpoint is forgotten, and so is what somebody read before.
-- name: FreshenWebhook :exec
UPDATE webhook SET failing_since = 0, failing_why = '', failures = 0, next_at = 0, warned = FALSE, notice = '', epoch = epoch + 1
WHERE operator_id = $1 AND id = $2;

-- name: HurryWebhookCalls :exec
UPDATE webhook_call SET next_at = $3 WHERE operator_id = $1 AND webhook_id = $2 AND state = 'waiting' AND next_at > $3;

-- name: RotateWebhook :execrows
UPDATE webhook SET old_secret = secret, secret = $3, old_until = $4 WHERE operator_id = $1 AND id = $2;

-- name: EnableWebhook :exec
UPDATE webhook SET enabled = TRUE, disabled_at = 0, disabled_why = '' WHERE operator_id = $1 AND id = $2;

-- name: DisableWebhook :exec
UPDATE webhook SET enabled = FALSE, disabled_at = $3, disabled_why = $4 WHERE operator_id = $1 AND id = $2;

-- name: DeleteWebhook :execrows
DELETE FROM webhook WHERE operator_id = $1 AND id = $2;

-- name: InsertWebhookReplay :exec
INSERT INTO webhook_replay (id, operator_id, webhook_id, from_at, to_at, cursor, events, created, finished)
VALUES ($1, $2, $3, $4, $5, $6, 0, $7, 0);

-- name: WebhookReplays :many
SELECT * FROM webhook_replay WHERE operator_id = $1 AND webhook_id = $2 ORDER BY id DESC LIMIT 20;

-- name: OpenWebhookReplay :one
SELECT EXISTS (SELECT 1 FROM webhook_replay WHERE operator_id = $1 AND webhook_id = $2 AND finished = 0);

-- name: WebhookCallBody :one
SELECT body FROM webhook_call WHERE operator_id = $1 AND webhook_id = $2 AND id = $3;

-- name: WebhookCallState :one
SELECT state FROM webhook_call WHERE operator_id = $1 AND webhook_id = $2 AND id = $3;

-- name: ResendWebhookCall :exec
UPDATE webhook_call SET state = 'waiting', next_at = $4, expires = $5, finished = 0 WHERE operator_id = $1 AND webhook_id = $2 AND id = $3;

-- name: WebhookAttempts :many
SELECT a.number, a.at, a.took, a.status, a.error, a.answer FROM webhook_call c JOIN webhook_attempt a ON a.call_id = c.id
WHERE c.operator_id = $1 AND c.webhook_id = $2 AND c.id = $3 ORDER BY a.number;

-- name: WebhookBacklog :one
SELECT COUNT(*) FROM (SELECT 1 FROM webhook_event WHERE operator_id = $1 AND webhook_id = $2 LIMIT 10001) AS e;

-- name: ProbeWebhook :exec
UPDATE webhook SET next_at = 0 WHERE operator_id = $1 AND id = $2;
