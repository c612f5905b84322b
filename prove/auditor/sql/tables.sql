-- What the auditor is told from outside, in tables of its own session: nothing of it outlives the connection.

CREATE TEMP TABLE journal (
    sequence    bigint PRIMARY KEY,
    operation   text NOT NULL,
    key         text NOT NULL,
    reference   text,
    payment_id  text NOT NULL,
    amount      bigint NOT NULL,
    currency    text NOT NULL,
    executed_at text NOT NULL,
    -- Of an authorization, how it stands now: open, captured, voided, expired.
    hold        text
);

-- One line for each request that a client has made. `id` is its Idempotency-Key; no status: no answer came.
CREATE TEMP TABLE told (
    line     bigint PRIMARY KEY,
    at       double precision NOT NULL,
    sent_at  double precision NOT NULL,
    client   text,
    call     text NOT NULL,
    method   text,
    path     text,
    payment  text,
    id       text,
    body     jsonb,
    status   integer,
    text     text,
    expected integer[]
);

CREATE TEMP TABLE signal (line bigint, at double precision, payment text, refund_id text, amount bigint, taken boolean);

-- A customer has confirmed or given up.
CREATE TEMP TABLE acted (line bigint, at double precision, payment text);

-- Somebody has ended or reset its run, or (of no payment) Temporal has forgotten what came after `since`.
CREATE TEMP TABLE interrupted (line bigint, at double precision, payment text, since double precision);

-- The fingerprint of the books at that moment.
CREATE TEMP TABLE fingerprint (line bigint PRIMARY KEY, at double precision, hash text);

CREATE TEMP TABLE walk (
    line bigint PRIMARY KEY, began_at double precision, at double precision, list text, filter jsonb, complete boolean,
    at_rest boolean
);
CREATE TEMP TABLE walked (walk bigint, place bigint, id text);

CREATE TEMP TABLE quiet (line bigint, at double precision);
