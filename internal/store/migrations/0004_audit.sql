-- +goose Up

-- Who changed what, written in the transaction of the change. Rows are appended, never
-- changed; retention removes the oldest.
CREATE TABLE audit (
  id          TEXT   /*C*/ NOT NULL PRIMARY KEY,
  operator_id TEXT   /*C*/ NOT NULL, -- whom it concerns; the platform's own for what is the platform's
  actor       TEXT   NOT NULL, -- 'user:ID', 'credential:ID', 'cli', 'policy'
  actor_name  TEXT   NOT NULL, -- as it was called then
  peer        TEXT   NOT NULL, -- the address it came from, '' from inside
  action      TEXT   NOT NULL, -- 'sender.add'
  target      TEXT   NOT NULL,
  detail      TEXT   NOT NULL,
  at          BIGINT NOT NULL
);
CREATE INDEX audit_operator ON audit (operator_id, id);
