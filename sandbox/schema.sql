-- Everything the processor has answered. Operations are never changed nor deleted: those with an effect are the
-- journal, and the last one under a key is its present state. Columns that came later stand at the end of their
-- table, where the store adds them to databases from before.
CREATE TABLE IF NOT EXISTS authorizations (
    id             TEXT PRIMARY KEY,
    payment_id     TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount > 0),
    currency       TEXT NOT NULL,
    voided         INTEGER NOT NULL DEFAULT 0,
    capture        TEXT UNIQUE,
    captured       INTEGER NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
    refunded       INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND captured),
    expires_at     REAL,
    lapsed         INTEGER NOT NULL DEFAULT 0,
    CHECK (NOT (voided AND capture IS NOT NULL))
) STRICT;
CREATE INDEX IF NOT EXISTS authorizations_open ON authorizations (expires_at)
    WHERE capture IS NULL AND voided = 0 AND lapsed = 0;

CREATE TABLE IF NOT EXISTS operations (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    operation   TEXT NOT NULL,
    key         TEXT NOT NULL,
    payment_id  TEXT NOT NULL,
    amount      INTEGER NOT NULL,
    currency    TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('succeeded', 'declined')),
    body        TEXT NOT NULL,
    executed_at TEXT NOT NULL,
    effect      INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX IF NOT EXISTS operations_key ON operations (key);
CREATE INDEX IF NOT EXISTS operations_payment ON operations (payment_id);

CREATE TABLE IF NOT EXISTS idempotency_keys (
    key         TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    body        TEXT NOT NULL,
    created_at  REAL NOT NULL
) STRICT;

-- Accepted, not yet executed: what a fault has put off.
CREATE TABLE IF NOT EXISTS pending (
    key     TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    due_at  REAL NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS faults (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    payment_id TEXT,
    operation  TEXT,
    fault      TEXT NOT NULL,
    times      INTEGER NOT NULL,
    remaining  INTEGER NOT NULL CHECK (remaining > 0),
    seconds    REAL
) STRICT;

-- What the payment methods that misbehave once have already done.
CREATE TABLE IF NOT EXISTS misbehaved (
    payment_id TEXT NOT NULL,
    how        TEXT NOT NULL,
    PRIMARY KEY (payment_id, how)
) STRICT;

-- Authorizations that a customer must confirm. The hold is placed by the confirmation.
CREATE TABLE IF NOT EXISTS actions (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    key        TEXT NOT NULL,
    request    TEXT NOT NULL,
    body       TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('requires_action', 'confirmed', 'abandoned', 'expired', 'canceled')),
    expires_at REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS actions_pending_key ON actions (key) WHERE status = 'requires_action';
CREATE INDEX IF NOT EXISTS actions_pending ON actions (expires_at) WHERE status = 'requires_action';

-- Refunds that have succeeded and will fail.
CREATE TABLE IF NOT EXISTS refunds_sent_back (
    id               TEXT PRIMARY KEY,
    authorization_id TEXT NOT NULL,
    body             TEXT NOT NULL,
    due_at           REAL NOT NULL
) STRICT;

-- `body` is what is sent. `copies` are still to be sent, at `next_attempt_at` unless it is held or given up;
-- those `in_turn` one after another, the last first.
CREATE TABLE IF NOT EXISTS events (
    sequence        INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    payment_id      TEXT NOT NULL,
    body            TEXT NOT NULL,
    copies          INTEGER NOT NULL CHECK (copies >= 0),
    held            INTEGER NOT NULL,
    in_turn         INTEGER NOT NULL DEFAULT 0,
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL,
    gives_up_at     REAL NOT NULL,
    delivered_at    TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS events_payment ON events (payment_id);
CREATE INDEX IF NOT EXISTS events_due ON events (in_turn, next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- How events made from now on are sent; one row at most.
CREATE TABLE IF NOT EXISTS webhook_mode (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    mode      TEXT NOT NULL,
    remaining INTEGER
) STRICT;
