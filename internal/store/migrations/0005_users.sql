-- +goose Up

-- A person who signs in. The name is not the word of the rest of the program, because
-- "user" is reserved in SQL.
CREATE TABLE app_user (
  id          TEXT    /*C*/ NOT NULL PRIMARY KEY,
  operator_id TEXT    /*C*/ NOT NULL, -- '' for staff of the platform
  login       TEXT    /*C*/ NOT NULL UNIQUE, -- normalized: a small alphabet in lower case
  email       TEXT    /*C*/ NOT NULL, -- normalized, '' for none
  name        TEXT    NOT NULL,
  role        TEXT    NOT NULL,
  language    TEXT    NOT NULL, -- BCP 47, '' for the usual
  zone        TEXT    NOT NULL, -- IANA, '' for the usual
  password    TEXT    NOT NULL, -- argon2id as a PHC string, '' for none yet
  totp        BYTEA   NOT NULL, -- sealed with the instance key; empty while it is off
  totp_next   BYTEA   NOT NULL, -- sealed; waits for its first code
  totp_step   BIGINT  NOT NULL, -- the last time step whose code was taken: each is good once
  disabled    BOOLEAN NOT NULL,
  created     BIGINT  NOT NULL,
  last_login  BIGINT  NOT NULL
);
CREATE INDEX app_user_operator ON app_user (operator_id, id);
CREATE INDEX app_user_email ON app_user (email) WHERE email <> '';

-- A signed-in browser. Ended ones are kept until they would have expired: they tell from
-- where a user has signed in before.
CREATE TABLE user_session (
  id         TEXT   /*C*/ NOT NULL PRIMARY KEY,
  user_id    TEXT   /*C*/ NOT NULL,
  token_hash BYTEA  NOT NULL UNIQUE, -- SHA-256 of the token, which has 256 random bits
  acting_for TEXT   /*C*/ NOT NULL, -- the operator that staff of the platform acts for, or ''
  created    BIGINT NOT NULL,
  seen       BIGINT NOT NULL, -- last used, written at most once a minute
  expires    BIGINT NOT NULL,
  ended      BIGINT NOT NULL, -- 0 while it lasts
  peer       TEXT   NOT NULL, -- the address it was last used from
  agent      TEXT   NOT NULL
);
CREATE INDEX user_session_user ON user_session (user_id, id);
CREATE INDEX user_session_expires ON user_session (expires);

-- What works once and is gone then: links to set a password, recovery codes.
CREATE TABLE user_token (
  hash    BYTEA  NOT NULL PRIMARY KEY, -- SHA-256
  user_id TEXT   /*C*/ NOT NULL, -- '' for one that nobody was given
  purpose TEXT   NOT NULL, -- 'invite', 'reset', 'recovery'
  expires BIGINT NOT NULL -- 0 for never
);
CREATE INDEX user_token_user ON user_token (user_id, purpose);
CREATE INDEX user_token_expires ON user_token (expires) WHERE expires > 0;
