-- One text for both engines. Comments of the form /*C*/ and /*WITHOUT ROWID*/ are
-- filled in for the engine that needs them (see migrations.go): byte-wise collation
-- on PostgreSQL, so that prefix and id ranges mean the same everywhere; clustered
-- primary keys on SQLite. All instants are unix milliseconds, 0 for "not set"; all
-- ids are UUIDv7 text made by the program.

-- +goose Up

-- What every process on this database must agree on: one row, id 1.
CREATE TABLE instance (
  id        BIGINT NOT NULL PRIMARY KEY,
  key_check TEXT   NOT NULL, -- proves that a node has the instance key, without revealing it
  change    BIGINT NOT NULL  -- raised in the transaction of every change that processes must notice
);

-- A running process that may hold leases.
CREATE TABLE node (
  incarnation TEXT   /*C*/ NOT NULL PRIMARY KEY, -- new at every start
  name        TEXT   NOT NULL, -- stable: counters are kept under it
  beat        BIGINT NOT NULL, -- raised every 5 s; only ever compared for equality
  started     BIGINT NOT NULL
);

-- The last group each process committed, on engines where the answer to a COMMIT can be
-- lost with the connection (see docs/adr/0005).
CREATE TABLE commit_mark (
  process TEXT   NOT NULL PRIMARY KEY,
  serial  BIGINT NOT NULL,
  at      BIGINT NOT NULL
);

CREATE TABLE operator (
  id               TEXT    /*C*/ NOT NULL PRIMARY KEY,
  parent_id        TEXT    NOT NULL, -- '' directly under the platform
  name             TEXT    NOT NULL,
  product          TEXT    NOT NULL,
  contact          TEXT    NOT NULL, -- where notices go, '' for nowhere
  suspended        BOOLEAN NOT NULL,
  gateway          TEXT    NOT NULL, -- 'builtin', 'smtp', '' for none
  uncertain_policy TEXT    NOT NULL,
  reply_to         TEXT    NOT NULL,
  signature_text   TEXT    NOT NULL,
  signature_html   TEXT    NOT NULL,
  created          BIGINT  NOT NULL
);

-- Which gateways a product may use. The owner edits it; nothing in code knows products.
CREATE TABLE entitlement (
  product TEXT    NOT NULL,
  gateway TEXT    NOT NULL,
  allowed BOOLEAN NOT NULL,
  initial BOOLEAN NOT NULL, -- bound to a new operator of this product
  PRIMARY KEY (product, gateway)
);
INSERT INTO entitlement (product, gateway, allowed, initial) VALUES
  ('servermate', 'builtin', TRUE,  TRUE),
  ('servermate', 'smtp',    TRUE,  FALSE),
  ('cloud',      'builtin', FALSE, FALSE),
  ('cloud',      'smtp',    TRUE,  FALSE),
  ('on_premise', 'builtin', FALSE, FALSE),
  ('on_premise', 'smtp',    TRUE,  FALSE);

-- An operator's own SMTP server, kept when another gateway is bound, and its health.
CREATE TABLE relay (
  operator_id   TEXT    /*C*/ NOT NULL PRIMARY KEY,
  host          TEXT    NOT NULL,
  port          BIGINT  NOT NULL,
  security      TEXT    NOT NULL,
  trust_all     BOOLEAN NOT NULL,
  username      TEXT    NOT NULL, -- '' for no login
  password      BYTEA   NOT NULL, -- sealed with the instance key; empty for none
  updated       BIGINT  NOT NULL,
  failing_since BIGINT  NOT NULL, -- 0 while healthy
  failing_why   TEXT    NOT NULL,
  next_probe    BIGINT  NOT NULL,
  probes        BIGINT  NOT NULL, -- failed probes in a row
  notice_sent   BIGINT  NOT NULL
);

CREATE TABLE sender (
  id          TEXT    /*C*/ NOT NULL PRIMARY KEY,
  operator_id TEXT    /*C*/ NOT NULL,
  address     TEXT    /*C*/ NOT NULL, -- normalized; '*@domain' for any address there
  name        TEXT    NOT NULL,
  state       TEXT    NOT NULL, -- concerns the built-in gateway only
  is_default  BOOLEAN NOT NULL,
  created     BIGINT  NOT NULL,
  UNIQUE (operator_id, address)
);

CREATE TABLE credential (
  id           TEXT    /*C*/ NOT NULL PRIMARY KEY,
  operator_id  TEXT    /*C*/ NOT NULL, -- '' for the platform's
  name         TEXT    NOT NULL,
  key_hash     BYTEA   NOT NULL UNIQUE, -- SHA-256 of the key, which has 160 random bits
  key_hint     TEXT    NOT NULL, -- first characters of the key, to recognise it
  networks     TEXT    NOT NULL, -- JSON list of CIDRs that may submit without AUTH
  scopes       TEXT    NOT NULL, -- JSON list
  test         BOOLEAN NOT NULL,
  default_kind TEXT    NOT NULL,
  from_policy  TEXT    NOT NULL,
  created      BIGINT  NOT NULL,
  revoked      BIGINT  NOT NULL
);
CREATE INDEX credential_operator ON credential (operator_id, id);

CREATE TABLE suppression (
  operator_id TEXT   /*C*/ NOT NULL,
  address     TEXT   /*C*/ NOT NULL, -- normalized
  reason      TEXT   /*C*/ NOT NULL,
  detail      TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  expires     BIGINT NOT NULL, -- 0 for never
  PRIMARY KEY (operator_id, address, reason)
) /*WITHOUT ROWID*/;
CREATE INDEX suppression_expires ON suppression (expires) WHERE expires > 0;

-- The platform's DKIM keys. Both are always published; one signs.
CREATE TABLE dkim_key (
  selector TEXT    NOT NULL PRIMARY KEY,
  key      BYTEA   NOT NULL, -- PKCS#8, sealed with the instance key
  signs    BOOLEAN NOT NULL,
  created  BIGINT  NOT NULL
);

CREATE TABLE message (
  id            TEXT    /*C*/ NOT NULL PRIMARY KEY,
  operator_id   TEXT    /*C*/ NOT NULL,
  batch_id      TEXT    /*C*/ NOT NULL, -- '' unless one request became several messages
  credential_id TEXT    NOT NULL,
  source        TEXT    NOT NULL,
  kind          TEXT    NOT NULL,
  lane          BIGINT  NOT NULL, -- rank, 0 is the most urgent
  test          BOOLEAN NOT NULL, -- by a test key: ends in the sandbox
  mail_from     TEXT    NOT NULL,
  from_addr     TEXT    NOT NULL,
  from_name     TEXT    NOT NULL,
  subject       TEXT    NOT NULL, -- '' once erased
  header_id     TEXT    NOT NULL, -- Message-ID field
  size          BIGINT  NOT NULL, -- bytes, header and body
  eight_bit     BOOLEAN NOT NULL,
  header_utf8   BOOLEAN NOT NULL,
  tags          TEXT    NOT NULL, -- JSON list, '' for none
  metadata      TEXT    NOT NULL, -- JSON object, '' for none
  created       BIGINT  NOT NULL,
  send_at       BIGINT  NOT NULL,
  expires       BIGINT  NOT NULL,
  erase_at      BIGINT  NOT NULL, -- content goes then, unless still queued
  erased        BIGINT  NOT NULL, -- content went then; 0 while kept
  body_id       TEXT    /*C*/ NOT NULL, -- '' once erased
  header        BYTEA   NOT NULL  -- after the edits at accept; empty once erased
);
CREATE INDEX message_operator ON message (operator_id, id);
CREATE INDEX message_batch ON message (batch_id, operator_id, id) WHERE batch_id <> '';
CREATE INDEX message_erase ON message (erase_at) WHERE erased = 0;

-- Bodies, with the signature in: once per batch where they are equal.
CREATE TABLE body (
  id          TEXT   /*C*/ NOT NULL PRIMARY KEY, -- id of the first message that uses it
  operator_id TEXT   /*C*/ NOT NULL,
  data        BYTEA  NOT NULL, -- empty if it lies in a file
  file        TEXT   /*C*/ NOT NULL, -- segment file beside an SQLite database, or ''
  file_at     BIGINT NOT NULL,
  file_size   BIGINT NOT NULL,
  file_sum    BIGINT NOT NULL -- CRC-32C
);
CREATE INDEX body_file ON body (file) WHERE file <> '';

-- Where bodies lay in files whose rows are deleted: bytes still to be erased there.
CREATE TABLE body_residue (
  file      TEXT   /*C*/ NOT NULL,
  file_at   BIGINT NOT NULL,
  file_size BIGINT NOT NULL,
  PRIMARY KEY (file, file_at)
);

CREATE TABLE delivery (
  id          TEXT    /*C*/ NOT NULL PRIMARY KEY,
  operator_id TEXT    /*C*/ NOT NULL,
  message_id  TEXT    /*C*/ NOT NULL,
  recipient   TEXT    NOT NULL, -- as submitted
  address     TEXT    /*C*/ NOT NULL, -- normalized, for search
  site        TEXT    /*C*/ NOT NULL, -- recipient domain in A-labels
  kind        TEXT    NOT NULL,
  lane        BIGINT  NOT NULL,
  state       TEXT    NOT NULL,
  held        BOOLEAN NOT NULL,
  control     TEXT    NOT NULL, -- 'cancel' or 'hold' asked for while leased
  attempts    BIGINT  NOT NULL, -- begun
  step        BIGINT  NOT NULL, -- place in the retry schedule: temporary failures so far
  next_at     BIGINT  NOT NULL,
  expires     BIGINT  NOT NULL,
  lease       TEXT    /*C*/ NOT NULL, -- incarnation that works on it, '' for none
  epoch       BIGINT  NOT NULL, -- raised by every claim; fences finish
  route       TEXT    NOT NULL, -- of the last attempt
  cause       TEXT    NOT NULL,
  reason      TEXT    NOT NULL, -- for people
  created     BIGINT  NOT NULL,
  updated     BIGINT  NOT NULL
) /*WITHOUT ROWID*/;
CREATE INDEX delivery_message ON delivery (message_id);
-- Search: newest message first within one address, one domain, one kind of trouble.
CREATE INDEX delivery_address ON delivery (operator_id, address, message_id);
CREATE INDEX delivery_site ON delivery (operator_id, site, message_id);
-- Claims: one index range per (lane, operator, site). Leased rows are not in it, so
-- the fast path (accepted leased, finished delivered) never touches it.
CREATE INDEX delivery_due ON delivery (lane, operator_id, site, next_at)
  WHERE state = 'queued' AND lease = '' AND NOT held;
CREATE INDEX delivery_lease ON delivery (lease) WHERE lease <> '';
CREATE INDEX delivery_control ON delivery (lease) WHERE control <> '';
CREATE INDEX delivery_expiry ON delivery (expires) WHERE state = 'queued' AND lease = '';
CREATE INDEX delivery_trouble ON delivery (operator_id, state, message_id)
  WHERE state <> 'queued' AND state <> 'delivered';
CREATE INDEX delivery_held ON delivery (operator_id, id) WHERE state = 'queued' AND held;

CREATE TABLE attempt (
  delivery_id TEXT   /*C*/ NOT NULL,
  number      BIGINT NOT NULL,
  operator_id TEXT   /*C*/ NOT NULL,
  route       TEXT   NOT NULL,
  host        TEXT   NOT NULL,
  address     TEXT   NOT NULL,
  tls         TEXT   NOT NULL,
  phase       TEXT   NOT NULL,
  outcome     TEXT   NOT NULL,
  cause       TEXT   NOT NULL,
  code        BIGINT NOT NULL,
  enhanced    TEXT   NOT NULL,
  reply       TEXT   NOT NULL, -- the remote's own words
  started     BIGINT NOT NULL,
  took        BIGINT NOT NULL, -- milliseconds
  PRIMARY KEY (delivery_id, number)
) /*WITHOUT ROWID*/;

CREATE TABLE event (
  message_id  TEXT   /*C*/ NOT NULL,
  id          TEXT   /*C*/ NOT NULL,
  operator_id TEXT   /*C*/ NOT NULL,
  delivery_id TEXT   /*C*/ NOT NULL, -- '' for the whole message
  type        TEXT   NOT NULL,
  from_state  TEXT   NOT NULL,
  to_state    TEXT   NOT NULL,
  count       BIGINT NOT NULL, -- deliveries concerned
  attempt     BIGINT NOT NULL,
  actor       TEXT   NOT NULL,
  detail      TEXT   NOT NULL,
  at          BIGINT NOT NULL,
  PRIMARY KEY (message_id, id)
) /*WITHOUT ROWID*/;

-- Conservation. One row per operator and node, so nodes never wait for each other.
CREATE TABLE counter (
  operator_id TEXT   /*C*/ NOT NULL,
  node        TEXT   /*C*/ NOT NULL,
  accepted    BIGINT NOT NULL,
  delivered   BIGINT NOT NULL,
  bounced     BIGINT NOT NULL,
  expired     BIGINT NOT NULL,
  cancelled   BIGINT NOT NULL,
  suppressed  BIGINT NOT NULL,
  uncertain   BIGINT NOT NULL,
  PRIMARY KEY (operator_id, node)
) /*WITHOUT ROWID*/;

-- What retention took away, by final state: rows + retired = counters.
CREATE TABLE retired (
  operator_id TEXT   /*C*/ NOT NULL,
  node        TEXT   /*C*/ NOT NULL,
  delivered   BIGINT NOT NULL,
  bounced     BIGINT NOT NULL,
  expired     BIGINT NOT NULL,
  cancelled   BIGINT NOT NULL,
  suppressed  BIGINT NOT NULL,
  uncertain   BIGINT NOT NULL,
  PRIMARY KEY (operator_id, node)
) /*WITHOUT ROWID*/;

-- The same by hour and kind, for charts.
CREATE TABLE rollup (
  operator_id TEXT   /*C*/ NOT NULL,
  hour        BIGINT NOT NULL, -- unix time / 3600 s
  kind        TEXT   NOT NULL,
  node        TEXT   /*C*/ NOT NULL,
  accepted    BIGINT NOT NULL,
  delivered   BIGINT NOT NULL,
  bounced     BIGINT NOT NULL,
  expired     BIGINT NOT NULL,
  cancelled   BIGINT NOT NULL,
  suppressed  BIGINT NOT NULL,
  uncertain   BIGINT NOT NULL,
  PRIMARY KEY (operator_id, hour, kind, node)
) /*WITHOUT ROWID*/;

CREATE TABLE idempotency (
  operator_id TEXT   /*C*/ NOT NULL,
  key         TEXT   /*C*/ NOT NULL,
  hash        BYTEA  NOT NULL, -- SHA-256 of the request
  receipt     TEXT   NOT NULL, -- JSON, the original answer
  created     BIGINT NOT NULL,
  PRIMARY KEY (operator_id, key)
) /*WITHOUT ROWID*/;
CREATE INDEX idempotency_created ON idempotency (created);

-- Mail that went nowhere on purpose. It has its own copy: this mailbox is its recipient.
CREATE TABLE sandbox (
  id          TEXT   /*C*/ NOT NULL PRIMARY KEY,
  operator_id TEXT   /*C*/ NOT NULL,
  message_id  TEXT   /*C*/ NOT NULL,
  delivery_id TEXT   /*C*/ NOT NULL,
  kind        TEXT   NOT NULL,
  mail_from   TEXT   NOT NULL,
  recipient   TEXT   NOT NULL,
  subject     TEXT   NOT NULL,
  size        BIGINT NOT NULL,
  created     BIGINT NOT NULL,
  data        BYTEA  NOT NULL -- header and body
);
CREATE INDEX sandbox_operator ON sandbox (operator_id, id);

-- Work that is due now and then, on whichever node takes it.
CREATE TABLE chore (
  name  TEXT   NOT NULL PRIMARY KEY,
  due   BIGINT NOT NULL,
  lease TEXT   NOT NULL -- incarnation that runs it, '' for none
);
