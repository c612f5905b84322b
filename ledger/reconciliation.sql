-- Reconciliation's statements. Those that compare read a whole run, as `compare` in 0010_reconciliation.sql does.

-- name: begin_reconciliation
-- A run that begins again finds its row.
INSERT INTO reconciliations (id, source, processor, period_from, period_to)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING

-- name: file_is_taken
UPDATE reconciliations SET lines = $2 WHERE id = $1

-- name: reconciliation
SELECT report, lines, source, (SELECT count(*) FROM settlement_items WHERE reconciliation = $1 AND NOT looked_up) AS items
FROM reconciliations WHERE id = $1

-- name: last_reconciled
-- Where the last run that asked the processor by itself has ended.
SELECT period_to FROM reconciliations WHERE source = 'record' AND report IS NOT NULL AND starts_with(id, $1)
ORDER BY period_to DESC LIMIT 1

-- name: forget_items
DELETE FROM settlement_items WHERE reconciliation = $1

-- name: add_items
INSERT INTO settlement_items (reconciliation, operation, reference, payment_id, amount, currency, executed_at,
                              operation_key, state, line, looked_up)
SELECT $1, i.*, $2 FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::timestamptz[],
                               $9::text[], $10::text[], $11::bigint[]) AS i

-- name: forget_looked_up
-- What is looked up again replaces what was looked up before.
DELETE FROM settlement_items i USING unnest($2::text[], $3::text[]) AS again (operation, reference)
WHERE i.reconciliation = $1 AND i.looked_up AND i.operation = again.operation AND i.reference = again.reference

-- name: keys_to_look_up
-- What one side lacks may be there all the same, outside the period; what may have healed, or was open before, is seen
-- as it is now. A file is not about anything but what stands in it.
SELECT DISTINCT regexp_replace(key, '^reversal-of-', '') AS key FROM (
    SELECT evidence->>'operation_key' AS key FROM compare($1)
        WHERE difference = 'missing_there' OR (heals AND (SELECT source FROM reconciliations WHERE id = $1) = 'record')
    UNION ALL
    SELECT c.evidence->>'operation_key' FROM reconciliation_cases c
        JOIN reconciliations r ON r.id = $1 AND r.source = 'record' AND r.processor = c.processor
        WHERE c.status = 'open' AND c.source = 'record'
) AS wanted WHERE key IS NOT NULL LIMIT $2

-- name: not_done
-- Payments that a workflow must be at work on.
SELECT id FROM payments
WHERE (status IN ('processing', 'requires_action', 'authorized') OR amount_refunding > 0)
  AND id > $1 AND updated_at < $2
ORDER BY id LIMIT $3

-- name: without_row
-- Of these, what was never claimed.
SELECT DISTINCT id FROM unnest($1::text[]) AS asked (id)
WHERE NOT EXISTS (SELECT FROM payments p WHERE p.id = asked.id) ORDER BY id

-- name: add_stopped
INSERT INTO settlement_items (reconciliation, operation, reference, payment_id, amount, currency, state, line)
SELECT $1, 'workflow', payment, payment, 0, 'XXX', state, 0
FROM unnest($2::text[], $3::text[]) AS stopped (payment, state)

-- name: forget_stopped
DELETE FROM settlement_items WHERE reconciliation = $1 AND operation = 'workflow'

-- name: differences_that_heal
SELECT DISTINCT c.payment_id, p.id IS NOT NULL AS known,
       c.operation IN ('refund', 'refund_reversal') OR coalesce(p.amount_captured > 0, false) AS about_refund
FROM compare($1) c LEFT JOIN payments p ON p.id = c.payment_id
WHERE c.heals AND c.difference IS NOT NULL
ORDER BY c.payment_id LIMIT $2

-- name: count_differences
SELECT difference, count(*) FROM compare($1) GROUP BY difference

-- name: open_cases
-- A difference that is found again stays the case that it is.
INSERT INTO reconciliation_cases (reconciliation, difference, source, processor, operation, reference, payment_id,
                                  amount_here, currency_here, amount_there, currency_there, happened_at, evidence)
SELECT r.id, c.difference, r.source, r.processor, c.operation, c.reference, c.payment_id,
       c.amount_here, c.currency_here, c.amount_there, c.currency_there, c.happened_at, c.evidence
FROM compare($1) c, reconciliations r WHERE r.id = $1 AND c.difference IS NOT NULL
ON CONFLICT DO NOTHING
RETURNING number

-- name: close_cases
-- Both sides agree by now: it was looked at in this run, and is no difference any more.
UPDATE reconciliation_cases c SET status = 'closed', resolved_at = now(), reason = 'both sides agree, says ' || r.id
FROM reconciliations r
WHERE r.id = $1 AND c.status = 'open' AND c.source = r.source AND c.processor = r.processor
  AND CASE WHEN r.source = 'file' THEN c.happened_at >= r.period_from AND c.happened_at < r.period_to
      ELSE c.operation = 'workflow' OR EXISTS (
          SELECT FROM settlement_items i
          WHERE i.reconciliation = $1 AND i.operation = c.operation AND i.reference = c.reference) END
  AND NOT EXISTS (
      SELECT FROM compare($1) d WHERE d.difference = c.difference AND d.operation = c.operation
        AND d.reference = c.reference AND d.amount_here IS NOT DISTINCT FROM c.amount_here
        AND d.currency_here IS NOT DISTINCT FROM c.currency_here AND d.amount_there IS NOT DISTINCT FROM c.amount_there
        AND d.currency_there IS NOT DISTINCT FROM c.currency_there)
RETURNING c.number

-- name: end_reconciliation
UPDATE reconciliations SET report = $2 WHERE id = $1

-- name: unexplained
SELECT currency, sum(amount)::bigint AS amount FROM (
    SELECT currency, amount FROM unexplained UNION ALL SELECT DISTINCT currency, 0 FROM accounts
) AS every GROUP BY currency ORDER BY currency

-- name: open_cases_by_difference
SELECT difference, count(*) FROM reconciliation_cases WHERE status = 'open' GROUP BY difference

-- name: last_reconciliation
SELECT period_to FROM reconciliations WHERE source = 'record' AND report IS NOT NULL
ORDER BY period_to DESC LIMIT 1

-- name: cases_page
SELECT * FROM reconciliation_cases
WHERE ($1::text IS NULL OR status = $1) AND ($2::timestamptz IS NULL OR (created_at, number) < ($2, $3::bigint))
ORDER BY created_at DESC, number DESC LIMIT $4

-- name: case
SELECT * FROM reconciliation_cases WHERE number = $1

-- name: resolve_case
UPDATE reconciliation_cases SET status = 'resolved', resolved_at = now(), reason = $2
WHERE number = $1 AND status = 'open'
