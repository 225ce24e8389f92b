-- +goose Up

-- An operator that was deleted. Its row is gone, so nobody can act as it; what else it
-- had is removed batch by batch until finished is set, and this stays.
CREATE TABLE removed_operator (
  id        TEXT   /*C*/ NOT NULL PRIMARY KEY,
  name      TEXT   NOT NULL,
  deleted   BIGINT NOT NULL,
  finished  BIGINT NOT NULL, -- 0 while something of it may be left
  messages  BIGINT NOT NULL, -- removed so far
  cancelled BIGINT NOT NULL  -- deliveries among them that were queued
);
CREATE INDEX removed_operator_open ON removed_operator (deleted) WHERE finished = 0;

-- The roll-up of all operators together, under operator '': the platform's charts need not
-- add up thousands of operators, and do not change when one is deleted.
INSERT INTO rollup (operator_id, hour, kind, node, accepted, delivered, bounced, expired, cancelled, suppressed, uncertain)
SELECT '', hour, kind, node, SUM(accepted), SUM(delivered), SUM(bounced), SUM(expired), SUM(cancelled), SUM(suppressed), SUM(uncertain)
FROM rollup GROUP BY hour, kind, node;
