-- +goose Up

-- What the built-in gateway did for an operator, by hour: what the guard of the shared
-- gateway judges by. Mail over the own server, of test keys and tests is not in it.
ALTER TABLE rollup ADD COLUMN builtin_accepted BIGINT NOT NULL DEFAULT 0; -- recipients, without security mail
ALTER TABLE rollup ADD COLUMN builtin_ended BIGINT NOT NULL DEFAULT 0; -- deliveries that it delivered or that bounced
ALTER TABLE rollup ADD COLUMN builtin_bounced BIGINT NOT NULL DEFAULT 0; -- of these: no such address
ALTER TABLE rollup ADD COLUMN builtin_complaints BIGINT NOT NULL DEFAULT 0;

-- When something of these last changed: whom the guard has to look at.
ALTER TABLE counter ADD COLUMN builtin_at BIGINT NOT NULL DEFAULT 0;

-- What the owner grants one operator.
ALTER TABLE operator ADD COLUMN per_day BIGINT NOT NULL DEFAULT 0; -- recipients on the built-in gateway; 0: by age and record
ALTER TABLE operator ADD COLUMN trusted BOOLEAN NOT NULL DEFAULT FALSE; -- no limit, and nothing worse than a warning

-- How the built-in gateway treats an operator; without a row it is 'ok'.
CREATE TABLE reputation (
  operator_id     TEXT   /*C*/ NOT NULL PRIMARY KEY,
  level           TEXT   NOT NULL, -- 'ok', 'warned', 'slowed', 'paused'
  since           BIGINT NOT NULL, -- of the level
  why             TEXT   NOT NULL, -- 'bounces', 'complaints', '' for a person's decision
  figures         TEXT   NOT NULL, -- JSON: what it was judged by then
  frozen_at       BIGINT NOT NULL, -- when it left 'ok': the limit of recipients grows no further; 0 while ok
  calm_since      BIGINT NOT NULL, -- since when a lower level would do; 0 for not
  trouble_at      BIGINT NOT NULL, -- the limit starts over from then; 0 for from its creation
  counted_from    BIGINT NOT NULL, -- what was sent before is forgiven; 0 for everything
  base_ended      BIGINT NOT NULL, -- what the hour of counted_from had by then
  base_bounced    BIGINT NOT NULL,
  base_complaints BIGINT NOT NULL,
  changed_by      TEXT   NOT NULL, -- who set the level
  told            BIGINT NOT NULL  -- when people were told about the level; 0: they are to be
);
CREATE INDEX reputation_level ON reputation (level) WHERE level <> 'ok';
