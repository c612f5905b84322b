-- Everything the processor has answered. Operations are never changed nor deleted: they are the journal.
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
    CHECK (NOT (voided AND capture IS NOT NULL))
) STRICT;

CREATE TABLE IF NOT EXISTS operations (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    operation   TEXT NOT NULL,
    key         TEXT NOT NULL,
    payment_id  TEXT NOT NULL,
    amount      INTEGER NOT NULL,
    currency    TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('succeeded', 'declined')),
    body        TEXT NOT NULL,
    executed_at TEXT NOT NULL
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
