-- What the feed tells: each payment's events are a path of the declared graph, numbered without gaps.

-- check: I6 each payment's events are a path
-- From its creation, once, along the graph. What is no move stands between moves, and is an event that we know.
WITH moves AS (
    SELECT payment_id, position, type,
        CASE type WHEN 'payment.created' THEN 'processing' WHEN 'payment.refund_reversed' THEN data ->> 'status'
             ELSE substr(type, length('payment.') + 1) END AS state
    FROM event
    WHERE type LIKE 'payment.%' AND type NOT IN ('payment.outcome_unknown', 'payment.capture_requested', 'payment.undoing',
        'payment.late_hold_released', 'payment.refunded_again')
), steps AS (
    SELECT *, lag(state) OVER (PARTITION BY payment_id ORDER BY position) AS before FROM moves
)
SELECT payment_id,
    CASE WHEN before IS NULL OR type = 'payment.created' THEN before IS NULL AND type = 'payment.created'
         ELSE EXISTS (SELECT FROM move m WHERE (m.before, m.after) = (steps.before, steps.state))
              -- Only a reversal goes back.
              AND (type = 'payment.refund_reversed') = ((steps.before, steps.state) IN
                  (('partially_refunded', 'succeeded'), ('refunded', 'partially_refunded'), ('refunded', 'succeeded')))
    END AS ok,
    jsonb_build_object('position', position, 'type', type, 'before', before, 'state', state) AS evidence
FROM steps

-- check: I6 each refund's events are a path
-- Created, then succeeded or failed, then perhaps reversed; or refused at once.
WITH steps AS (
    SELECT *, lag(type) OVER (PARTITION BY payment_id, refund_id ORDER BY position) AS before
    FROM event WHERE type LIKE 'refund.%' AND type <> 'refund.outcome_unknown'
)
SELECT payment_id,
    (coalesce(before, ''), type) IN (('', 'refund.created'), ('', 'refund.refused'), ('refund.created', 'refund.succeeded'),
        ('refund.created', 'refund.failed'), ('refund.succeeded', 'refund.reversed')) AS ok,
    jsonb_build_object('position', position, 'refund', refund_id, 'type', type, 'before', before) AS evidence
FROM steps

-- check: I6 the feed has no gaps
-- Its numbers are 1, 2, 3 ... and each is an event; each event has one number, or waits for it.
SELECT e.payment_id,
    (f.sequence IS NULL OR f.sequence = f.number) AND e.position IS NOT NULL AND (f.sequence IS NULL) = e.waits
        -- A payment's events are told in their order.
        AND f.sequence > coalesce(lag(f.sequence) OVER (PARTITION BY e.payment_id ORDER BY e.position), 0) IS NOT FALSE AS ok,
    jsonb_build_object('sequence', f.sequence, 'expected', f.number, 'position', coalesce(e.position, f.position),
        'type', e.type) AS evidence
FROM (SELECT sequence, position, row_number() OVER (ORDER BY sequence) AS number FROM feed) AS f
FULL JOIN event e ON e.position = f.position

-- check: I6 the last event is how the payment stands
-- Payments without events and events without a payment are wrong, too.
WITH last AS (
    SELECT DISTINCT ON (payment_id) payment_id,
        CASE type WHEN 'payment.created' THEN 'processing' WHEN 'payment.refund_reversed' THEN data ->> 'status'
             ELSE substr(type, length('payment.') + 1) END AS state
    FROM event
    WHERE type LIKE 'payment.%' AND type NOT IN ('payment.outcome_unknown', 'payment.capture_requested', 'payment.undoing',
        'payment.late_hold_released', 'payment.refunded_again')
    ORDER BY payment_id, position DESC
)
SELECT coalesce(p.id, l.payment_id) AS payment_id, p.status = l.state AS ok,
    jsonb_build_object('row', p.status, 'event', l.state) AS evidence
FROM payment p FULL JOIN last l ON l.payment_id = p.id

-- check: I6 the last event is how the refund stands
-- Of each refund that was ever asked for, and the reverse.
WITH last AS (
    SELECT DISTINCT ON (payment_id, refund_id) payment_id, refund_id AS id,
        CASE type WHEN 'refund.created' THEN 'pending' WHEN 'refund.succeeded' THEN 'succeeded' ELSE 'failed' END AS state
    FROM event WHERE type LIKE 'refund.%' AND type <> 'refund.outcome_unknown'
    ORDER BY payment_id, refund_id, position DESC
)
SELECT payment_id, r.status = l.state AS ok,
    jsonb_build_object('refund', id, 'row', r.status, 'event', l.state) AS evidence
FROM refund r FULL JOIN last l USING (payment_id, id)
