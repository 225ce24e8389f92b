-- A user of an operator that is gone is gone too.

-- name: UserByLogin :one
SELECT * FROM app_user u WHERE u.login = $1 AND (u.operator_id = '' OR EXISTS (SELECT 1 FROM operator o WHERE o.id = u.operator_id));

-- name: AnyUser :one
SELECT * FROM app_user u WHERE u.id = $1 AND (u.operator_id = '' OR EXISTS (SELECT 1 FROM operator o WHERE o.id = u.operator_id));

-- name: UsersByEmail :many
SELECT * FROM app_user u WHERE u.email = $1 AND u.email <> '' AND NOT u.disabled
  AND (u.operator_id = '' OR EXISTS (SELECT 1 FROM operator o WHERE o.id = u.operator_id))
ORDER BY u.id LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: Users :many
SELECT * FROM app_user WHERE operator_id = $1 AND id > sqlc.arg(after) ORDER BY id LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: AllUsers :many
SELECT * FROM app_user WHERE id > sqlc.arg(after) ORDER BY id LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: CountUsers :one
SELECT COUNT(*) FROM app_user WHERE operator_id = $1;

-- name: OtherOwners :one
SELECT COUNT(*) FROM app_user WHERE operator_id = '' AND role = 'owner' AND NOT disabled AND password <> '' AND id <> $1;

-- name: InsertUser :execrows
INSERT INTO app_user (id, operator_id, login, email, name, role, language, zone, password, totp, totp_next, totp_step, disabled, created, last_login)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, 0, $11, $12, 0)
ON CONFLICT (login) DO NOTHING;

-- name: UpdateUser :exec
UPDATE app_user SET login = $2, email = $3, name = $4, role = $5, language = $6, zone = $7, disabled = $8 WHERE id = $1;

-- name: LoginUsed :one
SELECT EXISTS (SELECT 1 FROM app_user WHERE login = $1);

-- name: SetUserPassword :execrows
UPDATE app_user SET password = $2 WHERE id = $1 AND password = sqlc.arg(old);

-- name: ProposeUserTOTP :execrows
UPDATE app_user SET totp_next = $2 WHERE id = $1 AND totp = sqlc.arg(nothing);

-- name: ConfirmUserTOTP :execrows
UPDATE app_user SET totp = totp_next, totp_next = sqlc.arg(nothing), totp_step = $2
WHERE id = $1 AND totp = sqlc.arg(nothing) AND totp_next = sqlc.arg(proposed);

-- name: DropUserTOTP :execrows
UPDATE app_user SET totp = sqlc.arg(nothing), totp_next = sqlc.arg(nothing) WHERE id = $1 AND totp <> sqlc.arg(nothing);

-- Each time step is good once, and never after a later one.
-- name: TakeUserTOTPStep :execrows
UPDATE app_user SET totp_step = $2 WHERE id = $1 AND totp_step < $2;

-- name: UserSignedIn :exec
UPDATE app_user SET last_login = $2 WHERE id = $1;

-- name: DeleteUser :exec
DELETE FROM app_user WHERE id = $1;

-- name: InsertToken :exec
INSERT INTO user_token (hash, user_id, purpose, expires) VALUES ($1, $2, $3, $4);

-- name: Token :one
SELECT * FROM user_token WHERE hash = $1 AND purpose = $2 AND (expires = 0 OR expires > sqlc.arg(now));

-- name: TakeToken :execrows
DELETE FROM user_token WHERE hash = $1 AND user_id = $2 AND purpose = $3 AND (expires = 0 OR expires > sqlc.arg(now));

-- name: DeleteTokens :exec
DELETE FROM user_token WHERE user_id = $1 AND purpose = $2;

-- name: DeleteAllTokens :exec
DELETE FROM user_token WHERE user_id = $1;

-- name: CountTokens :one
SELECT COUNT(*) FROM user_token WHERE user_id = $1 AND purpose = $2;

-- name: InsertSession :exec
INSERT INTO user_session (id, user_id, token_hash, acting_for, created, seen, expires, ended, peer, agent)
VALUES ($1, $2, $3, '', $4, $4, $5, 0, $6, $7);

-- The oldest of a user go when there are too many.
-- name: TrimSessions :many
DELETE FROM user_session WHERE user_session.user_id = $1 AND user_session.id <= (
  SELECT s.id FROM user_session s WHERE s.user_id = $1 ORDER BY s.id DESC LIMIT 1 OFFSET CAST(sqlc.arg(keep) AS bigint))
RETURNING user_session.acting_for;

-- name: SessionByHash :one
SELECT sqlc.embed(s), sqlc.embed(u) FROM user_session s JOIN app_user u ON u.id = s.user_id
WHERE s.token_hash = $1 AND s.ended = 0 AND s.expires > sqlc.arg(now) AND s.seen > sqlc.arg(idle) AND NOT u.disabled
  AND (u.operator_id = '' OR EXISTS (SELECT 1 FROM operator o WHERE o.id = u.operator_id))
  AND (s.acting_for = '' OR EXISTS (SELECT 1 FROM operator o WHERE o.id = s.acting_for));

-- name: UserSessions :many
SELECT * FROM user_session WHERE user_id = $1 AND ended = 0 AND expires > sqlc.arg(now) AND seen > sqlc.arg(idle) ORDER BY id DESC;

-- Ended ones too: where and when a user has signed in.
-- name: UserSignIns :many
SELECT * FROM user_session WHERE user_id = $1 ORDER BY id DESC LIMIT CAST(sqlc.arg(most) AS bigint);

-- name: SessionPeers :many
SELECT DISTINCT peer FROM user_session WHERE user_id = $1;

-- name: TouchSession :exec
UPDATE user_session SET seen = $2, peer = $3 WHERE id = $1 AND ended = 0 AND seen < $2;

-- name: EndSession :execrows
UPDATE user_session SET ended = sqlc.arg(now), acting_for = '' WHERE user_id = $1 AND id = $2 AND ended = 0;

-- name: EndSessions :execrows
UPDATE user_session SET ended = sqlc.arg(now), acting_for = '' WHERE user_id = $1 AND id <> sqlc.arg(but) AND ended = 0;

-- name: DeleteSessions :exec
DELETE FROM user_session WHERE user_id = $1;

-- name: ActingFor :one
SELECT acting_for FROM user_session WHERE user_id = $1 AND id = $2 AND ended = 0;

-- name: SetActingFor :exec
UPDATE user_session SET acting_for = $2 WHERE id = $1;

-- Those that act for an operator, of all sessions but one.
-- name: ActingSessions :many
SELECT acting_for FROM user_session WHERE user_id = $1 AND id <> sqlc.arg(but) AND acting_for <> '' AND ended = 0 ORDER BY id;

-- Through the staff, who are few.
-- name: ActingUsers :many
SELECT sqlc.embed(u) FROM app_user u JOIN user_session v ON v.user_id = u.id
WHERE u.operator_id = '' AND v.acting_for = $1 AND v.ended = 0 ORDER BY v.id;
