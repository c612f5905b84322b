-- What clients were told of captures, cancellations and refunds.

-- check: I5 told captured is captured
-- A capture that was answered 200 is over. It took the amount that it asked for, and was the payment's only one.
WITH done AS (
    SELECT *, count(*) OVER (PARTITION BY payment) AS captures FROM (
        SELECT payment, id, meaning, max((reply ->> 'amount_captured')::numeric) AS told, array_agg(line) AS lines,
            bool_or(says IN ('succeeded', 'partially_refunded', 'refunded')) AS charged,
            bool_or(says IN ('processing', 'requires_action', 'authorized')) AS open
        FROM answer WHERE call = 'capture' AND status = 200 GROUP BY payment, id, meaning
    ) AS captures
)
SELECT d.payment AS payment_id,
    d.captures = 1 AND NOT open AND (NOT charged OR (m.captured = told AND told = coalesce((meaning ->> 'amount')::numeric, m.authorized)))
        AS ok,
    jsonb_build_object('lines', lines, 'key', id, 'asked', meaning, 'told', told, 'captures', d.captures,
        'processor', m.operations) AS evidence
FROM done d LEFT JOIN moved m ON m.payment_id = d.payment

-- check: I5 told canceled is canceled
-- A cancellation that was answered 200 says so, and nothing was ever captured.
SELECT a.payment AS payment_id, a.says = 'canceled' AND coalesce(m.captures, 0) = 0 AS ok,
    jsonb_build_object('line', a.line, 'told', a.says, 'processor', m.operations) AS evidence
FROM answer a LEFT JOIN moved m ON m.payment_id = a.payment WHERE a.call = 'cancel' AND a.status = 200

-- check: I5 told refunded is refunded
-- Told succeeded: the processor made exactly that refund, of the amount that was asked for. Told failed: it made none, or
-- it came back.
WITH told_refund AS (
    SELECT payment, id, hash, reply ->> 'status' AS says, (reply ->> 'amount')::numeric AS amount,
        reply ->> 'currency' AS currency, (meaning ->> 'amount')::numeric AS asked, array_agg(line) AS lines
    FROM answer WHERE call = 'refund' AND status = 201 GROUP BY 1, 2, 3, 4, 5, 6, 7
), made AS (
    SELECT payment_id, right(key, 32) AS hash, currency, count(*) FILTER (WHERE operation = 'refund') AS made,
        sum(amount) FILTER (WHERE operation = 'refund') AS amount,
        count(*) FILTER (WHERE operation = 'refund_failed') AS came_back
    FROM journal WHERE operation IN ('refund', 'refund_failed') GROUP BY 1, 2, 3
)
SELECT t.payment AS payment_id,
    CASE t.says WHEN 'succeeded' THEN
                    m.made = 1 AND (m.amount, m.currency) = (t.amount, t.currency) AND t.amount = coalesce(t.asked, t.amount)
                WHEN 'failed' THEN coalesce(m.made, 0) = coalesce(m.came_back, 0)
                ELSE false END AS ok,
    jsonb_build_object('lines', t.lines, 'refund', t.id, 'told', t.says, 'amount', t.amount, 'asked', t.asked, 'processor', to_jsonb(m))
        AS evidence
FROM told_refund t LEFT JOIN made m ON m.payment_id = t.payment AND m.hash = t.hash

-- check: I5 equal refunds get equal answers
-- With the same bytes each time. One answer more is right only for a refund that came back after it had succeeded.
WITH said AS (
    SELECT payment, id, hash, meaning, reply ->> 'status' AS says, count(DISTINCT text) AS texts, min(sent_at) AS first,
        max(at) AS last, array_agg(line) AS lines
    FROM answer WHERE call = 'refund' AND status = 201 GROUP BY 1, 2, 3, 4, 5
)
SELECT s.payment AS payment_id,
    s.texts = 1 AND (f.says IS NULL OR (f.last > s.first AND EXISTS (
        SELECT FROM journal j WHERE j.operation = 'refund_failed' AND right(j.key, 32) = s.hash))) AS ok,
    jsonb_build_object('refund', s.id, 'meaning', s.meaning, 'told', s.says, 'lines', s.lines, 'failed', f.lines) AS evidence
FROM said s
LEFT JOIN said f ON (f.payment, f.id, f.meaning, f.says) = (s.payment, s.id, s.meaning, 'failed') AND s.says = 'succeeded'

-- check: I5 a refund's key belongs to one request
-- At most one request of a refund's key is ever made; another one that is sent later gets 422.
WITH made AS (
    SELECT payment, id, meaning, min(at) AS at, count(*) OVER (PARTITION BY payment, id) AS owners
    FROM answer WHERE call = 'refund' AND status = 201 GROUP BY payment, id, meaning
)
SELECT a.payment AS payment_id,
    m.owners = 1 AND CASE
        WHEN a.meaning = m.meaning THEN a.code IS DISTINCT FROM 'idempotency_key_reused'
        WHEN a.sent_at <= m.at THEN true
        ELSE a.status IS NULL OR a.status IN (422, 503) END AS ok,
    jsonb_build_object('line', a.line, 'refund', a.id, 'status', a.status, 'meaning', a.meaning, 'owner', m.meaning,
        'owners', m.owners) AS evidence
FROM answer a JOIN made m ON m.payment = a.payment AND m.id = a.id
WHERE a.call = 'refund'

-- check: I5 every refund that is shown is true
-- GET of a payment, or of its refunds, shows none as succeeded that the processor has not made, with its amount.
WITH shown AS (
    SELECT DISTINCT payment, r ->> 'id' AS id, r ->> 'processor_reference' AS reference, (r ->> 'amount')::numeric AS amount,
        r ->> 'currency' AS currency
    FROM answer
    CROSS JOIN LATERAL jsonb_array_elements(CASE call WHEN 'get' THEN reply -> 'refunds' ELSE reply -> 'data' END) AS r
    WHERE call IN ('get', 'get_refunds') AND status = 200 AND r ->> 'status' = 'succeeded'
)
SELECT s.payment AS payment_id, (j.amount, j.currency) = (s.amount, s.currency) AS ok,
    jsonb_build_object('shown', to_jsonb(s), 'processor', to_jsonb(j)) AS evidence
FROM shown s
LEFT JOIN journal j ON j.payment_id = s.payment AND j.reference = s.reference AND j.operation = 'refund'
