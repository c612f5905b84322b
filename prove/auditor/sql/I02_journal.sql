-- The processor's journal against the ledger, both ways.

-- check: I2 each movement is one transaction
-- Every capture and refund of the processor is one ledger transaction of the same payment, amount and currency, and the
-- reverse. A refund that failed later stands in the ledger as a reversal of that refund; one that came back before the
-- books had any of it may stand there with neither, if it undid a charge, or if its row says that it has failed.
WITH processor AS (
    SELECT CASE operation WHEN 'refund_failed' THEN 'reversal-of-' || key ELSE key END AS key, payment_id,
        CASE operation WHEN 'refund_failed' THEN 'refund_reversal' ELSE operation END AS operation, amount, currency, sequence,
        key AS refund,
        sum(CASE operation WHEN 'refund' THEN amount WHEN 'refund_failed' THEN -amount END) OVER (PARTITION BY key) AS stands
    FROM journal WHERE operation IN ('capture', 'refund', 'refund_failed')
), ledger AS (
    SELECT t.key, t.payment_id, t.operation, sum(e.amount)::bigint AS received, min(e.currency) AS currency, t.sequence,
        count(e.transaction) AS entries
    FROM transaction t LEFT JOIN entry e ON e.transaction = t.sequence AND e.class = 'processor_receivable'
    WHERE t.operation IN ('capture', 'refund', 'refund_reversal') OR e.transaction IS NOT NULL
    GROUP BY t.sequence
), undone AS (
    SELECT p.key FROM processor p JOIN payment ON id = p.payment_id
    WHERE p.stands = 0 AND (status = 'failed' OR EXISTS (
        SELECT FROM refund r WHERE r.payment_id = p.payment_id AND r.hash = right(p.refund, 32) AND r.status = 'failed'))
      AND NOT EXISTS (SELECT FROM transaction t WHERE t.key IN (p.refund, 'reversal-of-' || p.refund))
)
SELECT coalesce(l.payment_id, p.payment_id) AS payment_id,
    CASE WHEN l.key IS NULL THEN u.key IS NOT NULL
         ELSE (l.payment_id, l.operation, l.currency, l.received, l.entries) =
                (p.payment_id, p.operation, p.currency, CASE p.operation WHEN 'refund' THEN -p.amount ELSE p.amount END, 1)
              -- Once: the same key twice would match itself.
              AND count(*) OVER (PARTITION BY coalesce(l.key, p.key)) = 1
    END AS ok,
    jsonb_build_object('processor', to_jsonb(p), 'ledger', to_jsonb(l)) AS evidence
FROM ledger l FULL JOIN processor p ON p.key = l.key LEFT JOIN undone u ON u.key = p.key

-- check: I2 each payment's row has the journal's sums
-- amount_captured and amount_refunded are what the processor has taken and given back; without a row, nothing. Of what
-- is held or was charged, amount_authorized is what was held.
SELECT coalesce(p.id, m.payment_id) AS payment_id,
    (coalesce(p.amount_captured, 0), coalesce(p.amount_refunded, 0)) = (coalesce(m.captured, 0), coalesce(m.refunded, 0))
        AND (p.amount_authorized = m.authorized
            OR coalesce(p.status, '') NOT IN ('authorized', 'succeeded', 'partially_refunded', 'refunded')) AS ok,
    jsonb_build_object('row', to_jsonb(p), 'processor', m.operations) AS evidence
FROM payment p FULL JOIN moved m ON m.payment_id = p.id

-- check: I2 each refund's row is a refund of the processor
-- By the key it was asked for with, and the processor's own name for it, which a refund that came back before the books
-- had any of it may lack. What nobody asked for is the undoing of a charge, whose payment has failed.
WITH made AS (
    SELECT payment_id, reference, right(key, 32) AS hash, max(amount) AS amount, max(currency) AS currency,
        count(*) FILTER (WHERE operation = 'refund') AS made, count(*) FILTER (WHERE operation = 'refund_failed') AS failed
    FROM journal WHERE operation IN ('refund', 'refund_failed') GROUP BY payment_id, reference, hash
)
SELECT coalesce(r.payment_id, m.payment_id) AS payment_id,
    CASE WHEN m.reference IS NULL THEN r.status <> 'succeeded' AND r.reference IS NULL
         WHEN r.id IS NULL THEN p.status = 'failed'
         ELSE (r.amount, r.currency, r.status) =
                (m.amount, m.currency, CASE WHEN m.made > m.failed THEN 'succeeded' ELSE 'failed' END)
            AND CASE WHEN r.reference IS NULL THEN m.made = m.failed ELSE r.reference = m.reference END
    END AS ok,
    jsonb_build_object('row', to_jsonb(r), 'processor', to_jsonb(m), 'payment_status', p.status) AS evidence
FROM refund r
FULL JOIN made m ON m.payment_id = r.payment_id AND m.hash = r.hash
LEFT JOIN payment p ON p.id = m.payment_id

-- check: I2 nothing was done for a payment that has no row
-- Every operation of the processor, holds and releases, too, belongs to a payment that the ledger knows.
SELECT m.payment_id, p.id IS NOT NULL AS ok, jsonb_build_object('operations', m.operations) AS evidence
FROM moved m LEFT JOIN payment p ON p.id = m.payment_id
