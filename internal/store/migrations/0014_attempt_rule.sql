-- +goose Up

-- The rule on replies that decided what a failure means: the evidence of a verdict, beside
-- the remote's own words. '' for what was delivered, or is older than this column.
ALTER TABLE attempt ADD COLUMN rule TEXT NOT NULL DEFAULT '';
ALTER TABLE feedback ADD COLUMN rule TEXT NOT NULL DEFAULT ''; -- of a bounce
