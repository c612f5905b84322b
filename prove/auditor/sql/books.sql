-- The books, read once in one snapshot, and what follows from the other tables. Only rows are believed: no view, function
-- or total of the service is used.

CREATE TEMP TABLE payment AS
SELECT id, status, amount, currency, amount_authorized, amount_captured, amount_refunded, customer, order_id,
       unknown_operation, created_at
FROM payments;
ALTER TABLE payment ADD PRIMARY KEY (id);

CREATE TEMP TABLE refund AS
SELECT payment_id, id, amount, currency, status, processor_reference AS reference, unknown_since,
    -- The end of each key under which the processor is asked for it.
    left(encode(sha256(convert_to(payment_id || E'\n' || id, 'UTF8')), 'hex'), 32) AS hash
FROM refunds;
ALTER TABLE refund ADD PRIMARY KEY (payment_id, id);

CREATE TEMP TABLE transaction AS
SELECT sequence, operation_key AS key, payment_id, operation, processor FROM ledger_transactions;
ALTER TABLE transaction ADD PRIMARY KEY (sequence);
CREATE INDEX ON transaction (payment_id);
CREATE INDEX ON transaction (key);

CREATE TEMP TABLE posting AS
SELECT sequence, transaction, debit_account AS debit, credit_account AS credit, amount, currency FROM postings;
CREATE INDEX ON posting (transaction);

-- Both sides of each posting, debits positive; `class` is the account without its processor.
CREATE TEMP TABLE entry AS
SELECT t.payment_id, p.transaction, account, split_part(account, ':', 1) AS class, p.currency, side * p.amount AS amount
FROM posting p
CROSS JOIN LATERAL (VALUES (p.debit, 1), (p.credit, -1)) AS sides (account, side)
LEFT JOIN transaction t ON t.sequence = p.transaction;
CREATE INDEX ON entry (transaction);
CREATE INDEX ON entry (payment_id);

CREATE TEMP TABLE event AS
SELECT e.position, f.sequence, w.position IS NOT NULL AS waits, e.payment_id, e.refund_id, e.type, e.data,
    e.created_at
FROM payment_events e
LEFT JOIN event_feed f ON f.position = e.position
LEFT JOIN unfed w ON w.position = e.position;
CREATE INDEX ON event (payment_id, position);

CREATE TEMP TABLE feed AS SELECT sequence, position FROM event_feed;

CREATE TEMP TABLE line AS
SELECT 'txn_' || position AS id, position, payment_id, type, currency, customer, order_id, created_at FROM history;
ALTER TABLE line ADD PRIMARY KEY (id);
CREATE INDEX ON line (payment_id);

CREATE TEMP TABLE open_case AS SELECT DISTINCT payment_id FROM reconciliation_cases WHERE status = 'open';

-- What the processor did for each payment, all in all.
CREATE TEMP TABLE moved AS
SELECT payment_id,
    count(*) FILTER (WHERE operation = 'authorize') AS holds,
    count(*) FILTER (WHERE operation = 'capture') AS captures,
    count(*) FILTER (WHERE operation = 'void') AS voids,
    coalesce(sum(amount) FILTER (WHERE operation = 'authorize'), 0)::bigint AS authorized,
    coalesce(sum(amount) FILTER (WHERE operation = 'capture'), 0)::bigint AS captured,
    coalesce(sum(CASE operation WHEN 'refund' THEN amount WHEN 'refund_failed' THEN -amount END), 0)::bigint AS refunded,
    coalesce(sum(amount) FILTER (WHERE hold = 'open'), 0)::bigint AS held,
    array_agg(DISTINCT currency) AS currencies,
    jsonb_agg(jsonb_build_object('operation', operation, 'key', key, 'amount', amount, 'currency', currency, 'hold', hold)
        ORDER BY sequence) AS operations
FROM journal GROUP BY payment_id;
ALTER TABLE moved ADD PRIMARY KEY (payment_id);

-- The declared graph of a payment's states, and which of them can follow another one however many moves lie between.
-- `absent`: GET answers 404. A payment that is only being started may turn out never to have been one.
CREATE TEMP TABLE move (before text, after text);
INSERT INTO move VALUES
    ('processing', 'requires_action'), ('processing', 'authorized'), ('processing', 'succeeded'),
    ('processing', 'declined'), ('processing', 'canceled'), ('processing', 'failed'), ('processing', 'expired'),
    ('requires_action', 'processing'), ('requires_action', 'declined'), ('requires_action', 'canceled'),
    ('requires_action', 'failed'), ('requires_action', 'expired'),
    ('authorized', 'succeeded'), ('authorized', 'declined'), ('authorized', 'canceled'), ('authorized', 'failed'),
    ('authorized', 'expired'),
    ('succeeded', 'partially_refunded'), ('succeeded', 'refunded'), ('partially_refunded', 'refunded'),
    -- Corrections: a refund has failed after it had succeeded.
    ('partially_refunded', 'succeeded'), ('refunded', 'partially_refunded'), ('refunded', 'succeeded');

CREATE TEMP TABLE reachable AS
WITH RECURSIVE step (before, after) AS (
    SELECT before, after FROM move
    UNION
    SELECT step.before, move.after FROM step JOIN move ON move.before = step.after
)
SELECT before, after FROM step
UNION SELECT before, before FROM move
UNION SELECT after, after FROM move
UNION VALUES ('absent', 'absent'), ('processing', 'absent'), ('absent', 'processing')
UNION SELECT 'absent', after FROM move;

-- What clients were told, read: `reply` is null for what is no JSON, and for lists, which are not looked into.
CREATE TEMP TABLE answer AS
SELECT a.*,
    CASE WHEN call = 'get' AND status = 404 THEN 'absent'
         WHEN call IN ('pay', 'get', 'capture', 'cancel') AND status BETWEEN 200 AND 299 THEN reply ->> 'status' END AS says,
    reply ->> 'code' AS code,
    -- Decided for ever: the payment, or that its order was paid by another one.
    call = 'pay' AND (status = 201 OR (status = 409 AND reply ->> 'code' = 'order_already_paid')) AS decides
FROM (
    SELECT line, at, sent_at, call, coalesce(payment, CASE call WHEN 'pay' THEN id END) AS payment, id, body, status, text,
        -- What a request means: null is the same as absent, and a payment is captured at once unless it says otherwise.
        CASE call WHEN 'pay' THEN '{"capture": "automatic"}' ELSE '{}' END::jsonb
            || CASE jsonb_typeof(body) WHEN 'object' THEN jsonb_strip_nulls(body) ELSE '{}' END
            - CASE WHEN body -> 'metadata' = '{}' THEN 'metadata' ELSE '' END AS meaning,
        CASE WHEN pg_input_is_valid(text, 'jsonb') THEN text::jsonb END AS reply,
        -- The end of each key under which the processor is asked for this refund.
        CASE call WHEN 'refund' THEN left(encode(sha256(convert_to(payment || E'\n' || id, 'UTF8')), 'hex'), 32) END AS hash
    FROM told WHERE call IN ('pay', 'capture', 'cancel', 'refund', 'get', 'get_refunds')
) AS a;
CREATE INDEX ON answer (payment);

CREATE INDEX ON journal (payment_id);
CREATE INDEX ON journal (right(key, 32)) WHERE operation IN ('refund', 'refund_failed');
CREATE INDEX ON walked (walk, id);
ANALYZE payment, refund, transaction, posting, entry, event, feed, line, open_case, moved, move, reachable, answer, journal,
    told, signal, acted, interrupted, fingerprint, walk, walked, quiet;
