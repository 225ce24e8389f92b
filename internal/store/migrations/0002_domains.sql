-- +goose Up

-- A DNS domain an operator claims: proves by TXT, authorizes by SPF, DKIM and DMARC.
-- A subdomain is a domain of its own.
CREATE TABLE domain (
  id          TEXT    /*C*/ NOT NULL PRIMARY KEY,
  operator_id TEXT    /*C*/ NOT NULL,
  name        TEXT    /*C*/ NOT NULL, -- A-labels, lower case, no final dot
  proof       TEXT    NOT NULL, -- the key of the ownership record
  proven      BIGINT  NOT NULL, -- since when ownership is proven, 0 if it is not
  authorized  BIGINT  NOT NULL, -- since when its senders are used, 0 if they are not
  return_path BOOLEAN NOT NULL, -- bounce.<name> leads to us
  watch       TEXT    NOT NULL, -- JSON: what the checks found so far, see verify.Watch
  report      TEXT    NOT NULL, -- JSON: the last check, '' before the first
  checked     BIGINT  NOT NULL, -- when that was
  next_check  BIGINT  NOT NULL,
  looked      BIGINT  NOT NULL, -- when somebody last looked at it
  created     BIGINT  NOT NULL,
  UNIQUE (operator_id, name)
);
-- However many claim a domain, one has proven it.
CREATE UNIQUE INDEX domain_owner ON domain (name) WHERE proven > 0;
CREATE INDEX domain_next ON domain (next_check);

-- What happened to a domain; kept when the domain is given up.
CREATE TABLE domain_event (
  id          TEXT   /*C*/ NOT NULL PRIMARY KEY,
  operator_id TEXT   /*C*/ NOT NULL,
  domain_id   TEXT   /*C*/ NOT NULL,
  name        TEXT   /*C*/ NOT NULL,
  type        TEXT   NOT NULL,
  actor       TEXT   NOT NULL,
  detail      TEXT   NOT NULL,
  at          BIGINT NOT NULL
);
CREATE INDEX domain_event_operator ON domain_event (operator_id, name, id);

ALTER TABLE sender ADD COLUMN reason TEXT NOT NULL DEFAULT ''; -- why it was rejected
ALTER TABLE sender ADD COLUMN decided BIGINT NOT NULL DEFAULT 0; -- when it was assigned or rejected
