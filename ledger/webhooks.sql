-- Statements of the webhooks that we send, in the form of queries.sql.

-- name: feed_end
SELECT coalesce(max(sequence), 0) FROM event_feed

-- name: lock_endpoints
-- Whoever adds one holds this, so that their number can't pass its limit. Any number that nothing else locks.
SELECT pg_advisory_xact_lock(7265017250)

-- name: endpoints
SELECT * FROM webhook_endpoints WHERE deleted_at IS NULL ORDER BY created_at, id

-- name: endpoint
SELECT * FROM webhook_endpoints WHERE id = $1 AND deleted_at IS NULL

-- name: lock_endpoint
-- Whoever changes an endpoint or its deliveries holds its row, so that they follow one another.
SELECT * FROM webhook_endpoints WHERE id = $1 AND deleted_at IS NULL FOR UPDATE

-- name: add_endpoint
INSERT INTO webhook_endpoints (id, url, description, events, reached) VALUES ($1, $2, $3, $4, $5) RETURNING *

-- name: change_endpoint
UPDATE webhook_endpoints
SET url = $2, description = $3, events = $4, status = $5, disabled_reason = $6, failing_since = $7, failing = $8,
    probe_at = $9, status_since = CASE WHEN status = $5 THEN status_since ELSE now() END, updated_at = now()
WHERE id = $1
RETURNING *

-- name: delete_endpoint
UPDATE webhook_endpoints SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL RETURNING id

-- name: add_secret
INSERT INTO webhook_secrets (endpoint, secret) VALUES ($1, $2)

-- name: expire_secrets
-- Not later than before.
UPDATE webhook_secrets SET expires_at = least(expires_at, now() + $2::interval)
WHERE endpoint = $1 AND (expires_at IS NULL OR expires_at > now())

-- name: secrets
SELECT secret FROM webhook_secrets
WHERE endpoint = $1 AND (expires_at IS NULL OR expires_at > now())
ORDER BY number DESC LIMIT $2

-- name: webhook_news
-- The look of every second, which locks nothing. By the highest number: EXISTS would read the whole feed.
SELECT e.*, e.reached < coalesce((SELECT max(sequence) FROM event_feed), 0) AS news
FROM webhook_endpoints e WHERE e.id = $1 AND e.deleted_at IS NULL

-- name: enqueue_deliveries
-- What the feed has after the endpoint's place ($2) becomes deliveries, and its place moves on, together.
WITH numbers AS MATERIALIZED (
    SELECT sequence, position FROM event_feed WHERE sequence > $2 ORDER BY sequence LIMIT $3
), news AS (
    SELECT sequence, told.* FROM numbers CROSS JOIN LATERAL (
        SELECT e.payment_id, e.type FROM payment_events e WHERE e.position = numbers.position LIMIT 1
    ) AS told
), wanted AS (
    SELECT sequence, payment_id, row_number() OVER (PARTITION BY payment_id ORDER BY sequence) = 1 AS first_one
    FROM news WHERE $4::text[] IS NULL OR type = ANY ($4::text[])
), written AS (
    INSERT INTO webhook_deliveries (endpoint, sequence, payment_id, next_attempt_at)
    -- Not NOT EXISTS, for which PostgreSQL would read all that wait.
    SELECT $1, sequence, payment_id, CASE WHEN first_one AND (
        SELECT d.sequence FROM webhook_deliveries d
        WHERE d.endpoint = $1 AND d.payment_id = wanted.payment_id AND d.status = 'pending' LIMIT 1
    ) IS NULL THEN $5::timestamptz END
    FROM wanted
) UPDATE webhook_endpoints SET reached = (SELECT max(sequence) FROM news)
WHERE id = $1 AND EXISTS (SELECT FROM news)

-- name: due_deliveries
-- Those whose time is not after $2, but for those that are being sent. Then, one by one, what they tell of: PostgreSQL
-- takes a LIMIT that it doesn't know yet for a tenth of all rows, and would read all events for eight of them.
WITH due AS MATERIALIZED (
    SELECT sequence, next_attempt_at FROM webhook_deliveries
    WHERE endpoint = $1 AND next_attempt_at <= $2 AND sequence <> ALL ($3::bigint[])
    ORDER BY next_attempt_at, sequence LIMIT $4
) SELECT due.sequence, told.* FROM due CROSS JOIN LATERAL (
    SELECT e.* FROM event_feed f JOIN payment_events e ON e.position = f.position
    WHERE f.sequence = due.sequence LIMIT 1
) AS told ORDER BY due.next_attempt_at, due.sequence

-- name: lock_delivery
SELECT * FROM webhook_deliveries WHERE endpoint = $1 AND sequence = $2 FOR UPDATE

-- name: write_attempt
INSERT INTO webhook_attempts (endpoint, sequence, number, at, duration_ms, response_status, response_body, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: count_attempt
UPDATE webhook_deliveries SET attempts = attempts + 1, last_attempt_at = $3 WHERE endpoint = $1 AND sequence = $2

-- name: change_delivery
UPDATE webhook_deliveries
SET status = $3, tries = $4, next_attempt_at = $5, failing_since = $6, hurried = $7,
    ended_at = CASE WHEN $3 = 'pending' THEN NULL ELSE now() END
WHERE endpoint = $1 AND sequence = $2

-- name: next_of_payment
-- The next event of a payment of which none is to be sent, now that the one before it has ended.
UPDATE webhook_deliveries SET next_attempt_at = $3
WHERE endpoint = $1 AND sequence = (
    SELECT min(w.sequence) FROM webhook_deliveries w
    WHERE w.endpoint = $1 AND w.payment_id = $2 AND w.status = 'pending'
) AND NOT EXISTS (
    SELECT FROM webhook_deliveries h
    WHERE h.endpoint = $1 AND h.payment_id = $2 AND h.next_attempt_at IS NOT NULL
)

-- name: hurry
-- What waits for its next try is due: the endpoint is back. One that fails of itself is hurried once only, unless $3.
-- An endpoint that is down has some hundred that were tried in vain; the limit makes PostgreSQL find them by the index.
UPDATE webhook_deliveries SET next_attempt_at = $2, hurried = true
WHERE endpoint = $1 AND sequence = ANY (ARRAY(
    SELECT w.sequence FROM webhook_deliveries w
    WHERE w.endpoint = $1 AND w.next_attempt_at > $2 AND (NOT w.hurried OR $3::boolean)
    ORDER BY w.next_attempt_at LIMIT 10000))

-- name: find_delivery
SELECT d.sequence, d.payment_id FROM event_feed f
JOIN webhook_deliveries d ON d.endpoint = $1 AND d.sequence = f.sequence
WHERE f.position = $2

-- name: redeliver
-- Due now, unless another event of its payment is: then after that one.
UPDATE webhook_deliveries
SET status = 'pending', tries = 0, failing_since = NULL, hurried = false, ended_at = NULL,
    next_attempt_at = CASE WHEN NOT EXISTS (
        SELECT FROM webhook_deliveries h
        WHERE h.endpoint = $1 AND h.payment_id = $3 AND h.sequence <> $2 AND h.next_attempt_at IS NOT NULL) THEN $4::timestamptz END
WHERE endpoint = $1 AND sequence = $2

-- name: count_waiting
-- As far as people want to know it.
SELECT count(*) FROM (
    SELECT FROM webhook_deliveries WHERE endpoint = $1 AND status = 'pending' LIMIT $2
) AS first_ones

-- name: deliveries_page
SELECT d.*, e.position, e.type FROM webhook_deliveries d
JOIN event_feed f ON f.sequence = d.sequence
JOIN payment_events e ON e.position = f.position
WHERE d.endpoint = $1 AND d.sequence < $2
ORDER BY d.sequence DESC LIMIT $3

-- name: deliveries_page_of_status
SELECT d.*, e.position, e.type FROM webhook_deliveries d
JOIN event_feed f ON f.sequence = d.sequence
JOIN payment_events e ON e.position = f.position
WHERE d.endpoint = $1 AND d.status = $2 AND d.sequence < $3
ORDER BY d.sequence DESC LIMIT $4

-- name: attempts_of_page
-- The last ones ($3) of each.
SELECT a.* FROM webhook_deliveries d
JOIN webhook_attempts a ON a.endpoint = d.endpoint AND a.sequence = d.sequence AND a.number > d.attempts - $3::integer
WHERE d.endpoint = $1 AND d.sequence = ANY ($2::bigint[])
ORDER BY a.sequence, a.number
