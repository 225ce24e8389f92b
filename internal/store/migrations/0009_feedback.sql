-- +goose Up

-- What was reported about a delivery after the remote had taken it. Of each sort there is
-- at most one: who reports again says nothing new.
CREATE TABLE feedback (
  delivery_id TEXT   /*C*/ NOT NULL,
  sort        TEXT   /*C*/ NOT NULL, -- 'bounce', 'complaint'
  operator_id TEXT   /*C*/ NOT NULL,
  cause       TEXT   NOT NULL, -- of a bounce
  detail      TEXT   NOT NULL, -- the reporter's own words
  reporter    TEXT   NOT NULL, -- as it calls itself, and its address
  at          BIGINT NOT NULL,
  PRIMARY KEY (delivery_id, sort)
) /*WITHOUT ROWID*/;
CREATE INDEX feedback_operator ON feedback (operator_id, delivery_id);

ALTER TABLE suppression ADD COLUMN hits BIGINT NOT NULL DEFAULT 1; -- how often it was found
ALTER TABLE suppression ADD COLUMN message_id TEXT NOT NULL DEFAULT ''; -- the mail that showed it last

-- Addresses that nothing but a person suppresses.
CREATE TABLE suppression_exempt (
  operator_id TEXT   /*C*/ NOT NULL,
  address     TEXT   /*C*/ NOT NULL, -- normalized
  created     BIGINT NOT NULL,
  PRIMARY KEY (operator_id, address)
) /*WITHOUT ROWID*/;

-- Addresses that gave up mails lately, though not for good.
CREATE TABLE soft_bounce (
  operator_id TEXT   /*C*/ NOT NULL,
  address     TEXT   /*C*/ NOT NULL, -- normalized
  count       BIGINT NOT NULL,
  since       BIGINT NOT NULL, -- the first of them
  PRIMARY KEY (operator_id, address)
) /*WITHOUT ROWID*/;
CREATE INDEX soft_bounce_since ON soft_bounce (since);
