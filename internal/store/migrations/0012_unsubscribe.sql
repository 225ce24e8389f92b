-- +goose Up

-- An address can be suppressed for one kind of mail, which is what people unsubscribe from.
-- Part of the key: so the table is made anew.
CREATE TABLE suppression_by_kind (
  operator_id TEXT   /*C*/ NOT NULL,
  address     TEXT   /*C*/ NOT NULL, -- normalized
  reason      TEXT   /*C*/ NOT NULL,
  kind        TEXT   /*C*/ NOT NULL, -- '' for mail of every kind
  detail      TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  expires     BIGINT NOT NULL, -- 0 for never
  hits        BIGINT NOT NULL, -- how often it was found
  message_id  TEXT   NOT NULL, -- the mail that showed it last; '' for none
  via         TEXT   NOT NULL, -- how it came here; '' from before this was noted
  PRIMARY KEY (operator_id, address, reason, kind)
) /*WITHOUT ROWID*/;
INSERT INTO suppression_by_kind (operator_id, address, reason, kind, detail, created, expires, hits, message_id, via)
SELECT operator_id, address, reason, '', detail, created, expires, hits, message_id, '' FROM suppression;
DROP TABLE suppression;
ALTER TABLE suppression_by_kind RENAME TO suppression;
CREATE INDEX suppression_expires ON suppression (expires) WHERE expires > 0;
