-- What clients were told of payments, against what the processor did.

-- check: I5 told charged is charged
-- Whoever was told that a payment succeeded: the processor has captured that amount. Told authorized: it was held.
SELECT a.payment AS payment_id,
    CASE a.says WHEN 'authorized' THEN m.authorized = (reply ->> 'amount_authorized')::numeric
                ELSE m.captured = (reply ->> 'amount_captured')::numeric AND m.captured > 0 END AS ok,
    jsonb_build_object('line', a.line, 'call', a.call, 'told', a.says, 'amount_captured', reply -> 'amount_captured',
        'amount_authorized', reply -> 'amount_authorized', 'processor', m.operations) AS evidence
FROM answer a LEFT JOIN moved m ON m.payment_id = a.payment
WHERE a.says IN ('authorized', 'succeeded', 'partially_refunded', 'refunded')

-- check: I5 told not charged is not charged
-- Whoever was told declined, canceled, failed or expired, or that the order was paid already: nothing is kept, for ever.
SELECT a.payment AS payment_id, coalesce(m.captured, 0) = coalesce(m.refunded, 0) AS ok,
    jsonb_build_object('line', a.line, 'call', a.call, 'status', a.status, 'told', coalesce(a.says, a.code),
        'processor', m.operations) AS evidence
FROM answer a LEFT JOIN moved m ON m.payment_id = a.payment
WHERE a.says IN ('declined', 'canceled', 'failed', 'expired') OR (a.decides AND a.status = 409)

-- check: I5 each answer is one that there is
-- No status and no code but those that the contract has for this call. 404: nobody had been told of the payment before.
-- 422: the key was sent with another request as well. 409 for an order: another request has the same.
WITH known AS (
    SELECT payment, min(at) AS at FROM answer WHERE says NOT IN ('absent', 'processing') GROUP BY payment
), meant AS (
    SELECT call, payment, id, count(DISTINCT meaning) AS meanings FROM answer WHERE call IN ('pay', 'refund', 'capture')
    GROUP BY call, payment, id
), ordered AS (
    SELECT meaning ->> 'order_id' AS order_id, count(DISTINCT payment) AS payments FROM answer
    WHERE call = 'pay' GROUP BY meaning ->> 'order_id'
), allowed (call, fine, conflicts) AS (
    VALUES ('pay', '{201,202}'::int[], '{order_already_paid}'::text[]),
        ('refund', '{201,202}', '{payment_not_refundable,refund_exceeds_refundable}'),
        ('capture', '{200,202}', '{payment_not_capturable}'), ('cancel', '{200,202}', '{payment_not_cancelable}'),
        ('get', '{200}', '{}'), ('get_refunds', '{200}', '{}')
)
SELECT a.payment AS payment_id,
    CASE a.status
        WHEN 503 THEN true
        WHEN 404 THEN a.call <> 'pay' AND a.code = 'payment_not_found' AND k.at <= a.sent_at IS NOT TRUE
        WHEN 409 THEN a.code = ANY (w.conflicts) AND (a.call <> 'pay' OR o.payments > 1)
        WHEN 422 THEN a.code = 'idempotency_key_reused' AND (m.meanings > 1 OR EXISTS (
            SELECT FROM signal s WHERE a.call = 'refund' AND (s.payment, s.refund_id) = (a.payment, a.id)))
        ELSE a.status = ANY (w.fine) END AS ok,
    jsonb_build_object('line', a.line, 'call', a.call, 'status', a.status, 'code', a.code, 'asked', a.meaning) AS evidence
FROM answer a JOIN allowed w USING (call)
LEFT JOIN known k ON k.payment = a.payment
LEFT JOIN meant m ON (m.call, m.payment, m.id) = (a.call, a.payment, a.id)
LEFT JOIN ordered o ON o.order_id = a.meaning ->> 'order_id'
WHERE a.status IS NOT NULL
UNION ALL
SELECT NULL, status IN (200, 503), jsonb_build_object('line', line, 'path', path, 'status', status)
FROM told WHERE call IN ('list', 'events') AND status IS NOT NULL

-- check: I5 equal requests get equal answers
-- A key that was sent again with the same request was answered with the same bytes, once it was decided.
SELECT payment AS payment_id, count(DISTINCT (status, text)) = 1 AS ok,
    jsonb_build_object('meaning', meaning, 'lines', array_agg(line ORDER BY line),
        'answers', jsonb_agg(DISTINCT jsonb_build_object('status', status, 'text', text))) AS evidence
FROM answer WHERE decides GROUP BY payment, meaning

-- check: I5 a key belongs to one request
-- At most one request of a key is ever decided; another one that is sent later gets 422, and the first one never does.
WITH first AS (
    SELECT payment, meaning, min(at) AS decided_at FROM answer WHERE decides GROUP BY payment, meaning
), counted AS (
    SELECT *, count(*) OVER (PARTITION BY payment) AS owners FROM first
)
SELECT a.payment AS payment_id,
    f.owners = 1 AND CASE
        WHEN a.meaning = f.meaning THEN a.code IS DISTINCT FROM 'idempotency_key_reused'
        WHEN a.sent_at <= f.decided_at THEN true
        -- No answer and 503 say nothing; whatever else is no 422 has taken the other request for this one.
        ELSE a.status IS NULL OR a.status IN (422, 503) END AS ok,
    jsonb_build_object('line', a.line, 'status', a.status, 'meaning', a.meaning, 'owner', f.meaning, 'owners', f.owners)
        AS evidence
FROM answer a JOIN counted f ON f.payment = a.payment
WHERE a.call = 'pay'

-- check: I5 no answer goes back
-- What was told of a payment after an earlier word of it had arrived can follow from that one by the declared graph. An
-- answer to `pay` is its first one for ever, so it counts only as the earlier word.
WITH said AS (
    SELECT payment, says, min(at) AS at, min(line) AS line FROM answer WHERE says IS NOT NULL GROUP BY payment, says
)
SELECT a.payment AS payment_id, bool_and(EXISTS (
        SELECT FROM reachable r WHERE r.before = s.says AND r.after = a.says)) AS ok,
    jsonb_build_object('line', a.line, 'told', a.says,
        'before', jsonb_agg(jsonb_build_object('line', s.line, 'told', s.says))) AS evidence
FROM answer a JOIN said s ON s.payment = a.payment AND s.at < a.sent_at
WHERE a.says IS NOT NULL AND a.call <> 'pay'
GROUP BY a.payment, a.line, a.says

-- check: I5 what must be refused is refused
-- Each request that is wrong in itself got one of the statuses that may be answered to it.
SELECT payment AS payment_id, status = ANY (expected) AS ok,
    jsonb_build_object('line', line, 'method', method, 'path', path, 'status', status, 'expected', expected) AS evidence
FROM told WHERE call = 'bad' AND status IS NOT NULL

-- check: I5 no answer is a bug or tells a secret
-- No 500, no stack trace, no address of the database, in any answer at all.
SELECT payment AS payment_id,
    status <> 500 AND coalesce(text, '') !~ 'Traceback|postgres(ql)?://' AS ok,
    jsonb_build_object('line', line, 'call', call, 'path', path, 'status', status, 'text', left(text, 1000)) AS evidence
FROM told WHERE status IS NOT NULL
