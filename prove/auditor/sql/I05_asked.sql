-- What clients have asked for, against what the processor did. A request that was refused for ever asks for nothing.

-- check: I5 charged as it was asked for
-- What the processor holds is the amount and currency of the request that was answered 201, or, if none was, of one that
-- was sent; it charges no more, and all of it unless somebody captures less.
WITH owner AS (
    SELECT payment, meaning, min(line) AS line FROM answer WHERE decides AND status = 201 GROUP BY payment, meaning
), asked AS (
    SELECT payment, meaning, line FROM owner
    UNION ALL
    SELECT payment, meaning, min(line) FROM answer a
    WHERE call = 'pay' AND NOT EXISTS (SELECT FROM owner o WHERE o.payment = a.payment) GROUP BY payment, meaning
    HAVING bool_or(code = 'idempotency_key_reused') IS NOT TRUE
)
SELECT j.payment_id,
    bool_or((j.amount, j.currency) = ((a.meaning ->> 'amount')::numeric, a.meaning ->> 'currency')
        AND (a.meaning ->> 'capture' = 'manual' OR m.captured IN (0, j.amount))) AS ok,
    jsonb_build_object('asked', jsonb_object_agg(coalesce(a.line, 0), a.meaning), 'processor', m.operations) AS evidence
FROM journal j JOIN moved m USING (payment_id) LEFT JOIN asked a ON a.payment = j.payment_id
WHERE j.operation = 'authorize' GROUP BY j.sequence, m.payment_id

-- check: I5 captured as it was asked for
-- What is captured of a hold that waits for it is what one of its captures asked for, and that one was not refused.
WITH asked AS (
    SELECT payment, (meaning ->> 'amount')::numeric AS amount, array_agg(line) AS lines FROM answer WHERE call = 'capture'
    GROUP BY payment, id, meaning
    HAVING bool_or(status BETWEEN 200 AND 299) OR bool_or(status IN (404, 409, 422)) IS NOT TRUE
)
SELECT j.payment_id, bool_or(coalesce(a.amount, m.authorized) = j.amount AND a.payment IS NOT NULL) AS ok,
    jsonb_build_object('asked', jsonb_agg(to_jsonb(a)), 'processor', m.operations) AS evidence
FROM journal j JOIN moved m USING (payment_id) LEFT JOIN asked a ON a.payment = j.payment_id
WHERE j.operation = 'capture'
  AND NOT EXISTS (SELECT FROM answer p WHERE p.payment = j.payment_id AND p.meaning ->> 'capture' = 'automatic')
GROUP BY j.sequence, m.payment_id

-- check: I5 refunded as it was asked for
-- Each refund that the processor made is of the amount that a request or a signal of this name asked for; one without an
-- amount took all that was left when the ledger reserved it.
WITH asked AS (
    SELECT payment AS payment_id, id, (meaning ->> 'amount')::numeric AS amount FROM answer WHERE call = 'refund'
    GROUP BY payment, id, meaning
    HAVING bool_or(status BETWEEN 200 AND 299) OR bool_or(status IN (404, 409, 422)) IS NOT TRUE
    UNION
    SELECT payment, refund_id, amount FROM signal
), reserved AS (
    SELECT t.payment_id, right(t.key, 32) AS hash, sum(e.amount) AS left FROM transaction t
    JOIN entry e ON e.payment_id = t.payment_id AND e.transaction <= t.sequence
        AND e.class IN ('processor_receivable', 'refunds_payable')
    WHERE t.operation = 'refund_reservation' GROUP BY t.sequence
)
SELECT r.payment_id, bool_or(coalesce(a.amount = j.amount, reserved.left = 0) AND a.id IS NOT NULL) AS ok,
    jsonb_build_object('refund', r.id, 'asked', jsonb_agg(to_jsonb(a)), 'made', j.amount, 'left', reserved.left) AS evidence
FROM refund r
JOIN journal j ON j.payment_id = r.payment_id AND right(j.key, 32) = r.hash AND j.operation = 'refund'
LEFT JOIN reserved ON (reserved.payment_id, reserved.hash) = (r.payment_id, r.hash)
LEFT JOIN asked a ON (a.payment_id, a.id) = (r.payment_id, r.id)
GROUP BY r.payment_id, r.id, j.sequence, reserved.left

-- check: I5 told not refunded is not refunded
-- A refund that was answered 409 is not made, unless somebody asks for it again.
SELECT a.payment AS payment_id,
    NOT EXISTS (SELECT FROM journal j
        WHERE j.payment_id = a.payment AND j.operation = 'refund' AND right(j.key, 32) = a.hash)
    OR EXISTS (SELECT FROM answer b
        WHERE (b.call, b.payment, b.id) = ('refund', a.payment, a.id) AND b.line <> a.line AND b.at >= a.sent_at
          AND coalesce(b.status, 0) NOT IN (404, 409, 422))
    OR EXISTS (SELECT FROM signal s WHERE (s.payment, s.refund_id) = (a.payment, a.id) AND s.at >= a.sent_at) AS ok,
    jsonb_build_object('line', a.line, 'refund', a.id, 'code', a.code, 'processor', m.operations) AS evidence
FROM answer a LEFT JOIN moved m ON m.payment_id = a.payment WHERE a.call = 'refund' AND a.status = 409
