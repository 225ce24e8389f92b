-- +goose Up

-- The rotation of DKIM keys: at any time one key signs, and the other waits for its turn
-- or is kept for the mail it has signed. Times are 0 for never.
ALTER TABLE dkim_key ADD COLUMN started BIGINT NOT NULL DEFAULT 0; -- since when it signs
ALTER TABLE dkim_key ADD COLUMN proposed BIGINT NOT NULL DEFAULT 0; -- when its replacement was proposed
ALTER TABLE dkim_key ADD COLUMN wanted BIGINT NOT NULL DEFAULT 0; -- when it was asked to sign
ALTER TABLE dkim_key ADD COLUMN seen BIGINT NOT NULL DEFAULT 0; -- since when its record is at the authoritative servers
ALTER TABLE dkim_key ADD COLUMN cached BIGINT NOT NULL DEFAULT 0; -- since when it is at a recursive one too
ALTER TABLE dkim_key ADD COLUMN ttl BIGINT NOT NULL DEFAULT 0; -- the longest seen of its records, milliseconds
ALTER TABLE dkim_key ADD COLUMN retired BIGINT NOT NULL DEFAULT 0; -- when it stopped signing
ALTER TABLE dkim_key ADD COLUMN announced BIGINT NOT NULL DEFAULT 0; -- when the owner was told its record
UPDATE dkim_key SET announced = created;
UPDATE dkim_key SET started = created WHERE signs;
CREATE UNIQUE INDEX dkim_key_signs ON dkim_key (signs) WHERE signs;
