-- When faults have stopped and nothing moves any more, which the log's last line says. Without it these look at nothing.

-- check: I7 every payment is decided
-- None is processing. One may wait for its customer as long as nobody has acted: neither says the log so, nor is it held.
SELECT p.id AS payment_id,
    CASE p.status WHEN 'processing' THEN false
         WHEN 'requires_action' THEN coalesce(m.holds, 0) = 0 AND NOT EXISTS (SELECT FROM acted a WHERE a.payment = p.id)
         ELSE true END AS ok,
    jsonb_build_object('row', to_jsonb(p), 'processor', m.operations) AS evidence
FROM payment p LEFT JOIN moved m ON m.payment_id = p.id WHERE EXISTS (SELECT FROM quiet)

-- check: I7 what is unknown has its case
-- An outcome that nobody knows is an open case for people.
SELECT payment_id, NOT unknown OR EXISTS (SELECT FROM open_case c WHERE c.payment_id = o.payment_id) AS ok,
    jsonb_build_object('operation', operation) AS evidence
FROM (
    SELECT id AS payment_id, unknown_operation IS NOT NULL AS unknown, unknown_operation AS operation FROM payment
    UNION ALL
    SELECT payment_id, unknown_since IS NOT NULL, 'refund ' || id FROM refund
) AS o WHERE EXISTS (SELECT FROM quiet)

-- check: I7 no refund is pending
-- Each was made or refused.
SELECT payment_id, status <> 'pending' AS ok, jsonb_build_object('refund', id, 'amount', amount) AS evidence
FROM refund WHERE EXISTS (SELECT FROM quiet)

-- check: I7 what was promised is decided
-- Whoever was told 202: the payment, or the refund, has a row and is decided; a hold that was to be captured or canceled
-- is neither open nor waiting.
SELECT a.payment AS payment_id,
    CASE WHEN a.call = 'refund' THEN r.status IN ('succeeded', 'failed')
         WHEN a.call = 'pay' THEN p.status NOT IN ('processing')
         ELSE p.status NOT IN ('processing', 'requires_action', 'authorized') END AS ok,
    jsonb_build_object('line', min(a.line), 'call', a.call, 'id', a.id, 'payment', p.status, 'refund', r.status) AS evidence
FROM answer a
LEFT JOIN payment p ON p.id = a.payment
LEFT JOIN refund r ON a.call = 'refund' AND (r.payment_id, r.id) = (a.payment, a.id)
WHERE a.status = 202 AND EXISTS (SELECT FROM quiet)
GROUP BY a.payment, a.call, a.id, p.status, r.status

-- check: I7 no hold is forgotten
-- What is open at the processor is a payment that waits for its capture; of any other it was released.
SELECT j.payment_id, j.hold <> 'open' OR p.status = 'authorized' AS ok,
    jsonb_build_object('key', j.key, 'hold', j.hold, 'amount', j.amount, 'payment', p.status) AS evidence
FROM journal j LEFT JOIN payment p ON p.id = j.payment_id
WHERE j.operation = 'authorize' AND EXISTS (SELECT FROM quiet)

-- check: I7 what was asked for is there, and nothing else
-- Each payment that was answered 2xx has a row, and each row was asked for by somebody who is in the log.
WITH asked AS (
    SELECT payment, min(line) AS line, bool_or(call = 'pay' AND status BETWEEN 200 AND 299) AS taken FROM (
        SELECT coalesce(payment, id) AS payment, line, call, status FROM told WHERE call IN ('pay', 'bad')
    ) AS requests WHERE payment IS NOT NULL GROUP BY payment
)
SELECT coalesce(p.id, a.payment) AS payment_id, p.id IS NOT NULL AND a.payment IS NOT NULL AS ok,
    jsonb_build_object('row', p.status, 'line', a.line) AS evidence
FROM payment p FULL JOIN asked a ON a.payment = p.id
WHERE (p.id IS NOT NULL OR a.taken) AND EXISTS (SELECT FROM quiet)

-- check: I7 each refund was asked for, and what was asked for is there
-- By a request that was answered 201 or 202, or by a signal that was taken; and no row is without either. What a person has
-- done to the payment's run, or a backup without it, may have swallowed the signal; of a flood only so many leave a row.
WITH asked AS (
    SELECT payment AS payment_id, id, bool_or(status BETWEEN 200 AND 299) AS taken FROM answer WHERE call = 'refund'
    GROUP BY payment, id
    UNION ALL
    SELECT s.payment, s.refund_id, bool_or(s.taken AND f.signals <= 50 AND NOT EXISTS (
        SELECT FROM interrupted i
        WHERE coalesce(i.payment, s.payment) = s.payment AND i.at >= s.at - 5 AND s.at >= coalesce(i.since, 0)))
    FROM signal s JOIN (SELECT payment, count(*) AS signals FROM signal GROUP BY payment) AS f USING (payment)
    GROUP BY s.payment, s.refund_id
), requests AS (
    -- Whoever got no answer has asked all the same.
    SELECT payment_id, id, coalesce(bool_or(taken), false) AS taken FROM asked GROUP BY payment_id, id
)
SELECT payment_id, r.status IS NOT NULL AND a.taken IS NOT NULL AS ok,
    jsonb_build_object('refund', id, 'row', r.status, 'taken', a.taken) AS evidence
FROM refund r FULL JOIN requests a USING (payment_id, id)
WHERE (r.status IS NOT NULL OR a.taken) AND EXISTS (SELECT FROM quiet)

-- check: I7 every event has its number
-- Once all is quiet none waits that was there before.
SELECT payment_id, sequence IS NOT NULL AS ok, jsonb_build_object('position', position, 'type', type) AS evidence
FROM event WHERE extract(epoch FROM created_at) < (SELECT max(at) FROM quiet)

-- check: I7 everybody can see how it stands
-- Of each payment that is in the books somebody has asked, and what GET said last is what they have.
WITH last AS (
    SELECT DISTINCT ON (payment) payment, line, status, reply, says FROM answer WHERE call = 'get' AND status IS NOT NULL
    ORDER BY payment, line DESC
)
SELECT p.id AS payment_id,
    (l.says, (l.reply ->> 'amount_captured')::numeric, (l.reply ->> 'amount_refunded')::numeric)
        = (p.status, p.amount_captured, p.amount_refunded) AS ok,
    jsonb_build_object('line', l.line, 'shown', l.says, 'answered', l.status, 'row', to_jsonb(p)) AS evidence
FROM payment p LEFT JOIN last l ON l.payment = p.id WHERE EXISTS (SELECT FROM quiet)
