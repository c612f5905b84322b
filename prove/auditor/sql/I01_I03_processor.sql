-- The processor's journal by itself, and its orders. Each statement gives one row for each thing looked at: whose it is,
-- whether it is right, and what shows it. What can't be said to be right (null) is wrong.

-- check: I1 charged once
-- At most one authorization and one capture of a payment had an effect.
SELECT payment_id, holds <= 1 AND captures <= 1 AS ok, jsonb_build_object('operations', operations) AS evidence
FROM moved

-- check: I1 captured within its hold
-- What was captured was held before, in the same currency, and was not released.
SELECT payment_id,
    captured <= authorized AND cardinality(currencies) = 1 AND (captures = 0 OR voids = 0) AS ok,
    jsonb_build_object('authorized', authorized, 'captured', captured, 'operations', operations) AS evidence
FROM moved

-- check: I1 an order is paid once
-- Of each order at most one payment kept the money. One that ever gave all of it back has freed the order for good.
WITH kept AS (
    SELECT payment_id, sequence, sum(CASE operation WHEN 'capture' THEN amount WHEN 'refund' THEN -amount
        WHEN 'refund_failed' THEN amount ELSE 0 END) OVER (PARTITION BY payment_id ORDER BY sequence) AS amount, operation
    FROM journal
), paid AS (
    SELECT payment_id FROM kept GROUP BY payment_id
    HAVING bool_or(operation = 'capture') AND NOT bool_or(operation = 'refund' AND amount = 0)
), asked AS (
    -- As the books have it and as the clients have asked: either would do.
    SELECT id AS payment_id, order_id FROM payment WHERE order_id IS NOT NULL
    UNION
    SELECT payment, body ->> 'order_id' FROM answer WHERE decides AND body ->> 'order_id' IS NOT NULL
)
SELECT min(payment_id) AS payment_id, count(DISTINCT paid.payment_id) <= 1 AS ok,
    jsonb_build_object('order_id', order_id, 'paid_by', array_agg(DISTINCT paid.payment_id)) AS evidence
FROM asked LEFT JOIN paid USING (payment_id) GROUP BY order_id

-- check: I3 never more refunded than captured
-- After each entry of the journal, not only at its end.
SELECT payment_id, refunded BETWEEN 0 AND captured AS ok,
    jsonb_build_object('sequence', sequence, 'operation', operation, 'captured', captured, 'refunded', refunded) AS evidence
FROM (
    SELECT payment_id, sequence, operation,
        sum(CASE operation WHEN 'capture' THEN amount ELSE 0 END) OVER so_far AS captured,
        sum(CASE operation WHEN 'refund' THEN amount WHEN 'refund_failed' THEN -amount ELSE 0 END) OVER so_far AS refunded
    FROM journal WHERE operation IN ('capture', 'refund', 'refund_failed')
    WINDOW so_far AS (PARTITION BY payment_id ORDER BY sequence)
) AS prefix
