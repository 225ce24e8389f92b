-- +goose Up

-- When a key was last used, to a minute; 0 for never. It is written beside requests, many
-- keys at once, and what a crash loses is lost.
ALTER TABLE credential ADD COLUMN used BIGINT NOT NULL DEFAULT 0;
