-- +goose Up

-- Endpoints of operators that are told what becomes of their mail.
CREATE TABLE webhook (
  id            TEXT    /*C*/ NOT NULL PRIMARY KEY,
  operator_id   TEXT    /*C*/ NOT NULL,
  url           TEXT    NOT NULL,
  description   TEXT    NOT NULL,
  types         TEXT    NOT NULL, -- JSON list, '' for all
  max_events    BIGINT  NOT NULL, -- in one call; over 1, every call is a batch
  secret        BYTEA   NOT NULL, -- sealed with the instance key
  old_secret    BYTEA   NOT NULL, -- the one before, which signs too until old_until; empty for none
  old_until     BIGINT  NOT NULL,
  enabled       BOOLEAN NOT NULL,
  disabled_at   BIGINT  NOT NULL,
  disabled_why  TEXT    NOT NULL,
  failing_since BIGINT  NOT NULL, -- 0 while the last call was taken
  failing_why   TEXT    NOT NULL,
  failures      BIGINT  NOT NULL, -- failed attempts in a row, of whatever calls
  next_at       BIGINT  NOT NULL, -- nothing is sent before
  warned        BOOLEAN NOT NULL, -- the operator knows that it is failing
  notice        TEXT    NOT NULL, -- what the operator is still to be told, '' for nothing
  lease         TEXT    /*C*/ NOT NULL, -- incarnation that works on it, '' for none
  epoch         BIGINT  NOT NULL, -- raised when the lease ends, and by changes that make what was read before it worthless
  created       BIGINT  NOT NULL
);
CREATE INDEX webhook_operator ON webhook (operator_id, id);
CREATE INDEX webhook_lease ON webhook (lease) WHERE lease <> '';
CREATE INDEX webhook_notice ON webhook (id) WHERE notice <> '';

-- What an endpoint is still to be told: written in the transaction of the fact, removed
-- when the call that has it is finished.
CREATE TABLE webhook_event (
  operator_id TEXT    /*C*/ NOT NULL,
  webhook_id  TEXT    /*C*/ NOT NULL,
  id          TEXT    /*C*/ NOT NULL, -- of the event
  chain       TEXT    /*C*/ NOT NULL, -- events of one chain are told in their order: the message, or what else it is about
  type        TEXT    NOT NULL,
  payload     TEXT    NOT NULL, -- JSON; '' for what is made of the event of message chain when a call is made
  replay      BOOLEAN NOT NULL,
  call_id     TEXT    /*C*/ NOT NULL, -- '' while in no call
  at          BIGINT  NOT NULL,
  PRIMARY KEY (operator_id, webhook_id, id)
) /*WITHOUT ROWID*/;
CREATE INDEX webhook_event_chain ON webhook_event (webhook_id, chain) WHERE call_id <> '';
CREATE INDEX webhook_event_call ON webhook_event (call_id) WHERE call_id <> '';

-- One call, with what is sent: each attempt sends the same bytes under the same id.
CREATE TABLE webhook_call (
  id          TEXT    /*C*/ NOT NULL PRIMARY KEY,
  operator_id TEXT    /*C*/ NOT NULL,
  webhook_id  TEXT    /*C*/ NOT NULL,
  type        TEXT    NOT NULL, -- of its event, or 'batch'
  events      BIGINT  NOT NULL,
  replay      BOOLEAN NOT NULL,
  body        BYTEA   NOT NULL,
  state       TEXT    NOT NULL, -- 'waiting', 'delivered', 'failed', 'cancelled'
  attempts    BIGINT  NOT NULL,
  next_at     BIGINT  NOT NULL,
  expires     BIGINT  NOT NULL, -- a failure after it is the last
  created     BIGINT  NOT NULL,
  finished    BIGINT  NOT NULL  -- 0 while waiting
);
CREATE INDEX webhook_call_log ON webhook_call (operator_id, webhook_id, id);
CREATE INDEX webhook_call_trouble ON webhook_call (operator_id, webhook_id, id) WHERE state <> 'delivered';
CREATE INDEX webhook_call_waiting ON webhook_call (webhook_id, next_at) WHERE state = 'waiting';
CREATE INDEX webhook_call_finished ON webhook_call (finished) WHERE finished > 0;

CREATE TABLE webhook_attempt (
  call_id TEXT   /*C*/ NOT NULL,
  number  BIGINT NOT NULL,
  at      BIGINT NOT NULL,
  took    BIGINT NOT NULL, -- milliseconds
  status  BIGINT NOT NULL, -- of the answer, 0 for none
  error   TEXT   NOT NULL, -- what went wrong, '' for nothing
  answer  TEXT   NOT NULL, -- its first characters
  PRIMARY KEY (call_id, number)
) /*WITHOUT ROWID*/;

-- A period that is told again.
CREATE TABLE webhook_replay (
  id          TEXT   /*C*/ NOT NULL PRIMARY KEY,
  operator_id TEXT   /*C*/ NOT NULL,
  webhook_id  TEXT   /*C*/ NOT NULL,
  from_at     BIGINT NOT NULL,
  to_at       BIGINT NOT NULL,
  cursor      TEXT   /*C*/ NOT NULL, -- the last message that was looked at
  events      BIGINT NOT NULL, -- found so far
  created     BIGINT NOT NULL,
  finished    BIGINT NOT NULL -- 0 while under way
);
CREATE INDEX webhook_replay_webhook ON webhook_replay (operator_id, webhook_id, id);
CREATE INDEX webhook_replay_open ON webhook_replay (id) WHERE finished = 0;
