-- Refused requests change nothing; lists are whole, whatever was written while they were read.

-- check: I10 a refused request changes nothing
-- Between two fingerprints of the books with nothing but refused requests between them, the books are the same. A payment
-- or refund that is refused for its order or amount leaves a row that says so, for ever. Whatever a bad request was answered,
-- unless it was taken, it must have changed nothing; also without an answer, its sender cut off in the middle of 10 MB.
WITH pair AS (
    SELECT line AS after, lead(line) OVER (ORDER BY line) AS until, hash, lead(hash) OVER (ORDER BY line) AS then
    FROM fingerprint
), between_them AS (
    SELECT p.after, count(*) AS requests, bool_and(CASE
        WHEN t.call = 'bad' THEN t.status BETWEEN 200 AND 299 IS NOT TRUE
        WHEN t.method = 'GET' THEN true
        ELSE t.status BETWEEN 400 AND 499
            AND t.text !~ '"code": ?"(order_already_paid|payment_not_refundable|refund_exceeds_refundable)"' IS TRUE END
        ) AS refused
    FROM pair p JOIN told t ON t.line > p.after AND t.line < p.until GROUP BY p.after
)
SELECT NULL::text AS payment_id, p.hash = p.then AS ok,
    jsonb_build_object('after_line', p.after, 'until_line', p.until, 'requests', b.requests, 'before', p.hash,
        'then', p.then) AS evidence
FROM pair p JOIN between_them b USING (after)
WHERE b.refused AND NOT EXISTS (SELECT FROM signal s WHERE s.line > p.after AND s.line < p.until AND s.taken)

-- check: I11 a walk has nothing twice
-- Of the pages of a list, read to their end, no two show the same.
SELECT NULL::text AS payment_id, count(DISTINCT d.id) = count(d.id) AS ok,
    jsonb_build_object('line', w.line, 'list', w.list, 'ids', count(d.id), 'different', count(DISTINCT d.id)) AS evidence
FROM walk w LEFT JOIN walked d ON d.walk = w.line WHERE w.complete GROUP BY w.line, w.list

-- check: I11 a walk shows what there is, in its order
-- Newest first; events 1, 2, 3 ... Nothing that is not in the books, and nothing that the filter leaves out.
WITH shown AS (
    SELECT w.line, w.list, w.filter, d.place, d.id, coalesce(p.id, l.payment_id, e.payment_id) AS payment_id,
        coalesce(p.created_at, l.created_at) AS at, l.position, coalesce(p.customer, l.customer) AS customer,
        coalesce(p.order_id, l.order_id) AS order_id, coalesce(p.currency, l.currency) AS currency, l.type,
        coalesce(p.id, l.id, f.sequence::text) IS NOT NULL AS found
    FROM walk w JOIN walked d ON d.walk = w.line
    LEFT JOIN payment p ON w.list = 'payments' AND p.id = d.id
    LEFT JOIN line l ON w.list = 'transactions' AND l.id = d.id
    LEFT JOIN feed f ON w.list = 'events' AND f.sequence::text = d.id
    LEFT JOIN event e ON e.position = f.position
    WHERE w.complete
), ordered AS (
    SELECT *, lag(at) OVER so AS at_before, lag(position) OVER so AS position_before, lag(id) OVER so AS id_before FROM shown
    WINDOW so AS (PARTITION BY line ORDER BY place)
)
SELECT payment_id,
    found AND CASE list
        WHEN 'events' THEN id = (coalesce((filter ->> 'after')::bigint, 0) + place)::text
        WHEN 'transactions' THEN (at, position) < (at_before, position_before) IS NOT FALSE
        ELSE (at, id) < (at_before, id_before) IS NOT FALSE END
    AND (NOT filter ? 'customer' OR filter ->> 'customer' = customer)
    AND (NOT filter ? 'order_id' OR filter ->> 'order_id' = order_id)
    AND (NOT filter ? 'currency' OR filter ->> 'currency' = currency)
    AND (list <> 'transactions' OR NOT filter ? 'type' OR filter ->> 'type' = type) AS ok,
    jsonb_build_object('line', line, 'list', list, 'place', place, 'id', id, 'before', id_before, 'filter', filter) AS evidence
FROM ordered

-- check: I11 a walk shows what somebody was told before it began
-- Each payment that somebody was told to be decided by then is in a walk of payments, and its charge in one of transactions.
WITH known AS (
    SELECT payment AS id, min(at) AS at, min(line) AS told_in,
        min(at) FILTER (WHERE says IN ('succeeded', 'partially_refunded', 'refunded')) AS charged_at
    FROM answer WHERE says NOT IN ('absent', 'processing') OR decides GROUP BY payment
), due AS (
    SELECT w.line, w.list, k.id AS payment_id, k.told_in, k.at, w.began_at,
        CASE w.list WHEN 'payments' THEN k.id ELSE l.id END AS id
    FROM walk w
    JOIN known k ON CASE w.list WHEN 'payments' THEN k.at ELSE k.charged_at END < w.began_at
    LEFT JOIN payment p ON p.id = k.id
    LEFT JOIN line l ON w.list = 'transactions' AND l.payment_id = k.id AND l.type = 'capture'
    -- By what never changes; what a walk by status or time must show depends on the moment.
    WHERE w.complete AND w.list IN ('payments', 'transactions')
      AND w.filter - '{limit,customer,order_id,currency}'::text[] = '{}'
      AND (w.filter ->> 'customer' IS NULL OR w.filter ->> 'customer' = p.customer)
      AND (w.filter ->> 'order_id' IS NULL OR w.filter ->> 'order_id' = p.order_id)
      AND (w.filter ->> 'currency' IS NULL OR w.filter ->> 'currency' = p.currency)
)
SELECT d.payment_id, d.id IS NOT NULL AND s.id IS NOT NULL AS ok,
    jsonb_build_object('walk', d.line, 'list', d.list, 'id', d.id, 'told_in', d.told_in, 'told_at', d.at,
        'began_at', d.began_at) AS evidence
FROM due d LEFT JOIN (SELECT DISTINCT walk, id FROM walked) AS s ON s.walk = d.line AND s.id = d.id

-- check: I11 a walk at rest shows every event
-- Of the feed, read when nothing moved any more.
SELECT e.payment_id, d.id IS NOT NULL AS ok,
    jsonb_build_object('walk', w.line, 'position', e.position, 'sequence', e.sequence, 'type', e.type) AS evidence
FROM walk w JOIN event e ON extract(epoch FROM e.created_at) < w.began_at
LEFT JOIN walked d ON d.walk = w.line AND d.id = e.sequence::text
WHERE w.complete AND w.at_rest AND w.list = 'events'
