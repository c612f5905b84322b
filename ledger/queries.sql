-- Every statement that the service sends. A name line, then plain SQL; $1.. are the parameters in order.

-- name: claim
-- Covers both keys: a row with this id, and another open or paid payment of the same order.
INSERT INTO payments (id, fingerprint, request, amount, currency, customer, order_id, processor, first_run)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
RETURNING *

-- name: claim_refused_for_order
-- A payment refused for its order is decided at once, in a row of its own outside the order's index.
INSERT INTO payments (id, fingerprint, request, amount, currency, customer, order_id, processor, first_run,
                      status, failure_code, failure_message, answer, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'failed', $10, $11, $12, $13, $13)
ON CONFLICT DO NOTHING
RETURNING *

-- name: find
SELECT *, now() AS read_at FROM payments WHERE id = $1

-- name: find_whole
-- The payment and its refunds of one moment: two statements could show a refund that the payment doesn't know of yet.
SELECT *, (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.created_at, r.id), '[]') FROM refunds r
           WHERE r.payment_id = payments.id) AS refunds
FROM payments WHERE id = $1

-- name: mark_unknown
-- Guarded: a try that comes too late must not mark a payment that was decided meanwhile.
UPDATE payments
SET unknown_since = CASE WHEN unknown_operation = $2 THEN unknown_since ELSE now() END,
    unknown_operation = $2,
    unknown_next_check = now() + $3::interval,
    updated_at = now()
WHERE id = $1 AND status IN ('processing', 'requires_action', 'authorized')

-- name: require_action
-- Guarded: a try that comes too late must not bring back what is over. What is required stays as it was told first; each
-- look that finds it required still ends what was unknown.
UPDATE payments
SET status = 'requires_action', next_action = coalesce(next_action, $2), updated_at = now(),
    unknown_operation = NULL, unknown_since = NULL, unknown_next_check = NULL
WHERE id = $1 AND status IN ('processing', 'requires_action') AND action_ended_at IS NULL AND undoing IS NULL
  AND (status = 'processing' OR unknown_operation IS NOT NULL)

-- name: end_action
UPDATE payments SET status = 'processing', action_ended_at = now(), updated_at = now(),
    unknown_operation = NULL, unknown_since = NULL, unknown_next_check = NULL
WHERE id = $1 AND status = 'requires_action'

-- name: count_late_release
UPDATE payments SET late_releases = late_releases + 1
WHERE id = $1 AND status IN ('declined', 'canceled', 'failed', 'expired') AND late_releases = $2

-- name: begin_undoing
-- Waits for a transaction that is deciding the payment at this moment; then its status tells. What is being captured is
-- undone ($3) only for what came of the capture.
UPDATE payments
SET undoing = coalesce(undoing, $2), updated_at = now(),
    unknown_operation = NULL, unknown_since = NULL, unknown_next_check = NULL
WHERE id = $1 AND status IN ('processing', 'requires_action', 'authorized') AND (capturing IS NULL OR $3::boolean)
RETURNING id

-- name: begin_capture
-- The first capture that is asked for stays. Nothing is captured that is being released.
UPDATE payments SET capturing = $2, updated_at = now()
WHERE id = $1 AND status = 'authorized' AND capturing IS NULL AND undoing IS NULL

-- name: decide
-- The payment's end and what it posts, or nothing at all when it was decided meanwhile. An event that was recorded
-- before comes back from no INSERT, so nothing is posted for it again.
WITH payment AS (
    UPDATE payments
    SET status = $2, amount_authorized = $3, amount_captured = $4, amount_refunded = $5, processor_reference = $6,
        failure_code = $7, failure_message = $8, conflicted = $9, answer = coalesce(answer, $10), updated_at = $11,
        hold_reference = coalesce($20, hold_reference), hold_expires_at = coalesce($21, hold_expires_at),
        action_ended_at = CASE WHEN next_action IS NOT NULL THEN coalesce(action_ended_at, $11) END,
        unknown_operation = NULL, unknown_since = NULL, unknown_next_check = NULL
    WHERE id = $1 AND status = $19 AND ($2 <> 'authorized' OR undoing IS NULL)
      AND (NOT $22::boolean OR action_ended_at IS NULL)
    RETURNING id, processor
), movement AS (
    SELECT * FROM payment, unnest($12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::bigint[],
        $18::text[]) AS m (operation_key, operation, reference, debit_account, credit_account, amount, currency)
), opened AS (
    INSERT INTO accounts (name, currency)
    SELECT debit_account, currency FROM movement UNION SELECT credit_account, currency FROM movement ORDER BY 1, 2
    ON CONFLICT DO NOTHING
), recorded AS (
    INSERT INTO ledger_transactions (operation_key, payment_id, operation, processor, processor_reference)
    SELECT operation_key, id, operation, processor, reference FROM movement
    ON CONFLICT DO NOTHING
    RETURNING sequence, operation_key
), posted AS (
    INSERT INTO postings (transaction, debit_account, credit_account, amount, currency)
    SELECT sequence, debit_account, credit_account, amount, currency FROM recorded JOIN movement USING (operation_key)
) SELECT id FROM payment

-- name: lock
-- Whoever changes a payment's refunds holds its row, so that they follow one another.
SELECT id FROM payments WHERE id = $1 FOR UPDATE

-- name: find_refund
SELECT to_jsonb(r) AS refund, fingerprint FROM refunds r WHERE payment_id = $1 AND id = $2

-- name: refunds_of
SELECT to_jsonb(r) AS refund, fingerprint FROM refunds r WHERE payment_id = $1 ORDER BY created_at, id

-- name: count_refunds
-- Those that we refused ourselves, and the others.
SELECT count(*) FILTER (WHERE failure_code = ANY ($2::text[])) AS refused,
       count(*) FILTER (WHERE failure_code IS NULL OR failure_code <> ALL ($2::text[])) AS accepted
FROM refunds WHERE payment_id = $1

-- name: add_refund
INSERT INTO refunds (payment_id, id, fingerprint, amount, currency, reason, requested_by, status, failure_code,
                     failure_message)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: reserve_for_refund
UPDATE payments
SET amount_refunding = amount_refunding + $2, updated_at = greatest(updated_at, clock_timestamp())
WHERE id = $1

-- name: mark_refund_unknown
-- Guarded, as `mark_unknown` is. Holds the payment's row, so that this event, too, has its place among the others.
WITH payment AS (
    SELECT id FROM payments WHERE id = $1 FOR UPDATE
) UPDATE refunds r
SET unknown_since = coalesce(unknown_since, now()), unknown_next_check = now() + $3::interval, updated_at = now()
FROM payment WHERE r.payment_id = payment.id AND r.id = $2 AND r.status = 'pending'

-- name: end_refund
UPDATE refunds
SET status = $3, failure_code = $4, failure_message = $5, processor_reference = coalesce($6, processor_reference),
    unknown_since = NULL, unknown_next_check = NULL, updated_at = now()
WHERE payment_id = $1 AND id = $2

-- name: apply_refund
-- What a refund that ended does to its payment: $2 is no longer reserved, $3 was given back, or came back if negative.
UPDATE payments
SET amount_refunding = amount_refunding - $2,
    amount_refunded = amount_refunded + $3,
    status = CASE amount_refunded + $3 WHEN 0 THEN 'succeeded' WHEN amount_captured THEN 'refunded'
             ELSE 'partially_refunded' END,
    order_freed = order_freed OR amount_refunded + $3 = amount_captured,
    -- Not now(), which is when this transaction began to wait for the row.
    updated_at = greatest(updated_at, clock_timestamp())
WHERE id = $1

-- name: post
-- One movement. One that was recorded before comes back from no INSERT, so nothing is posted for it again.
WITH opened AS (
    INSERT INTO accounts (name, currency) VALUES ($6, $9), ($7, $9) ON CONFLICT DO NOTHING
), recorded AS (
    INSERT INTO ledger_transactions (payment_id, operation_key, operation, processor, processor_reference)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
    RETURNING sequence
) INSERT INTO postings (transaction, debit_account, credit_account, amount, currency)
    SELECT sequence, $6, $7, $8, $9 FROM recorded

-- name: store_event
-- Waits for another request with the same event: nobody is told that it is stored before it is.
INSERT INTO webhook_events (processor, id, type, concerns, payment_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING id

-- name: take_events
-- A lease, not a lock: no transaction is open while the payments are told.
WITH due AS (
    SELECT processor, id FROM webhook_events
    WHERE delivered_at IS NULL AND next_delivery_at <= now()
    ORDER BY next_delivery_at LIMIT $1
    FOR UPDATE SKIP LOCKED
) UPDATE webhook_events e SET next_delivery_at = now() + $2::interval FROM due
WHERE e.processor = due.processor AND e.id = due.id
RETURNING e.processor, e.id, e.type, e.concerns, e.payment_id

-- name: end_delivery
UPDATE webhook_events SET delivered_at = now(), outcome = $3
WHERE processor = $1 AND id = ANY ($2::text[]) AND delivered_at IS NULL

-- name: reverse_posting
-- A correction: the posting of an event ($2) the other way round, under a name of its own.
WITH original AS (
    SELECT t.*, p.debit_account, p.credit_account, p.amount, p.currency
    FROM ledger_transactions t JOIN postings p ON p.transaction = t.sequence
    WHERE t.payment_id = $1 AND t.operation_key = $2
), recorded AS (
    INSERT INTO ledger_transactions (payment_id, operation_key, operation, processor, processor_reference)
    SELECT payment_id, 'reversal-of-' || operation_key, 'refund_reversal', processor, processor_reference FROM original
    ON CONFLICT DO NOTHING
    RETURNING sequence
) INSERT INTO postings (transaction, debit_account, credit_account, amount, currency)
    SELECT recorded.sequence, credit_account, debit_account, amount, currency FROM recorded, original

-- name: count_refused_refund
UPDATE payments SET late_refunds = late_refunds + 1
WHERE id = $1 AND status IN ('processing', 'requires_action', 'authorized') AND undoing IS NOT NULL AND late_refunds = $2

-- name: count_late_refund
UPDATE payments SET late_refunds = late_refunds + 1 WHERE id = $1 AND status = 'failed' AND late_refunds = $2

-- name: timeline
SELECT position, type, actor, refund_id, reference, data, created_at FROM payment_events
WHERE payment_id = $1 ORDER BY position

-- name: payments_page
-- Planned anew for the filters that are given (see `open_pool`), each of which has its index. First the page, then its
-- refunds, of the same moment.
WITH page AS MATERIALIZED (
    SELECT * FROM payments
    WHERE ($1::text IS NULL OR customer = $1) AND ($2::text IS NULL OR order_id = $2)
      AND ($3::text IS NULL OR currency = $3) AND ($4::text IS NULL OR status = $4)
      AND ($5::timestamptz IS NULL OR created_at >= $5) AND ($6::timestamptz IS NULL OR created_at < $6)
      AND ($7::timestamptz IS NULL OR (created_at, id) < ($7, $8::text))
    ORDER BY created_at DESC, id DESC LIMIT $9
) SELECT page.*, (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.created_at, r.id), '[]') FROM refunds r
                  WHERE r.payment_id = page.id) AS refunds
FROM page ORDER BY page.created_at DESC, page.id DESC

-- name: history_page
-- First the page, then what its lines tell of: never the other way round.
WITH page AS MATERIALIZED (
    SELECT * FROM history
    WHERE ($1::text IS NULL OR customer = $1) AND ($2::text IS NULL OR order_id = $2)
      AND ($3::text IS NULL OR currency = $3) AND ($4::text IS NULL OR status = $4)
      AND ($5::timestamptz IS NULL OR created_at >= $5) AND ($6::timestamptz IS NULL OR created_at < $6)
      AND ($7::timestamptz IS NULL OR (created_at, position) < ($7, $8::bigint))
      AND ($10::text IS NULL OR type = $10)
    ORDER BY created_at DESC, position DESC LIMIT $9
) SELECT page.*, coalesce(r.amount, p.amount) AS amount_requested, p.request->>'description' AS description,
         p.processor, t.processor_reference, t.operation_key,
         CASE page.type WHEN 'payment' THEN p.failure_code ELSE r.failure_code END AS failure_code,
         CASE page.type WHEN 'payment' THEN p.failure_message ELSE r.failure_message END AS failure_message
FROM page
JOIN payments p ON p.id = page.payment_id
LEFT JOIN ledger_transactions t ON t.sequence = page.transaction
LEFT JOIN refunds r ON r.payment_id = page.payment_id AND r.id = page.refund_id
ORDER BY page.created_at DESC, page.position DESC

-- name: extend_chain
SELECT extend_chain($1)

-- name: chain
SELECT number, transaction, hash, chained_text(transaction) AS text FROM ledger_chain ORDER BY number

-- name: extend_feed
SELECT extend_feed($1)

-- name: events_after
SELECT f.sequence, e.* FROM event_feed f JOIN payment_events e ON e.position = f.position
WHERE f.sequence > $1 ORDER BY f.sequence LIMIT $2

-- name: balances
-- The totals at the chain's end, and what came after it.
SELECT account, currency, sum(debits)::bigint AS debits, sum(credits)::bigint AS credits FROM (
    SELECT account, currency, debits, credits FROM account_totals
    UNION ALL
    SELECT account, currency, greatest(amount, 0), greatest(-amount, 0)
    FROM unchained JOIN entries ON entries.transaction = unchained.transaction
) AS both_parts GROUP BY account, currency ORDER BY currency, account

-- name: balances_of_customer
SELECT currency, coalesce(sum(amount) FILTER (WHERE type = 'capture'), 0)::bigint AS captured,
       coalesce(-sum(amount) FILTER (WHERE type <> 'capture'), 0)::bigint AS refunded
FROM history WHERE customer = $1 AND transaction IS NOT NULL GROUP BY currency ORDER BY currency

-- name: now
SELECT now()

-- name: migrations_applied
SELECT name FROM schema_migrations ORDER BY name
