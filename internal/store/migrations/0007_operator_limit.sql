-- +goose Up

-- How many mails of an operator each node accepts a minute; 0 for no limit.
ALTER TABLE operator ADD COLUMN per_minute BIGINT NOT NULL DEFAULT 0;
