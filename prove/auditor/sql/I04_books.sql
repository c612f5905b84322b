-- Double entry, from the postings alone, and the balances against the processor.

-- check: I4 each transaction balances
-- It has postings; they sum to zero in each currency, debits equal credits, and none posts nothing or to itself.
WITH balance AS (
    SELECT transaction, currency, sum(amount) AS sum, sum(greatest(amount, 0)) AS debits, sum(greatest(-amount, 0)) AS credits
    FROM entry GROUP BY transaction, currency
), posted AS (
    SELECT transaction, bool_and(sum = 0 AND debits = credits AND debits > 0) AS balances,
        jsonb_agg(to_jsonb(balance)) AS balance
    FROM balance GROUP BY transaction
), wrong AS (
    SELECT transaction, jsonb_agg(to_jsonb(posting)) AS postings FROM posting
    WHERE amount <= 0 OR debit = credit
       -- What is only held is no asset: the memo stays beside the balance sheet.
       OR starts_with(debit, 'held_authorizations') <> starts_with(credit, 'held_authorizations')
    GROUP BY transaction
)
SELECT t.payment_id, t.sequence IS NOT NULL AND p.balances AND w.transaction IS NULL AS ok,
    jsonb_build_object('transaction', coalesce(t.sequence, p.transaction), 'key', t.key, 'balance', p.balance,
        'postings', w.postings) AS evidence
FROM transaction t FULL JOIN posted p ON p.transaction = t.sequence LEFT JOIN wrong w ON w.transaction = p.transaction

-- check: I4 each balance is the processor's
-- Per account and currency. A charge that was undone went through `suspense` and back; what is owed or held is below.
WITH posted AS (
    SELECT class, currency, sum(amount)::bigint AS balance FROM entry
    WHERE class NOT IN ('refunds_payable', 'held_authorizations', 'held_authorizations_contra') GROUP BY class, currency
), done AS (
    SELECT j.currency, coalesce(p.status, '') = 'failed' AS undone, j.operation = 'capture' AS charge,
        CASE j.operation WHEN 'refund' THEN -j.amount ELSE j.amount END AS amount
    FROM journal j LEFT JOIN payment p ON p.id = j.payment_id
    WHERE j.operation IN ('capture', 'refund', 'refund_failed')
), reserved AS (
    -- A refund that was asked for is an expense before the processor has made it.
    SELECT currency, sum(amount) AS amount FROM refund WHERE status = 'pending' GROUP BY currency
), expected AS (
    SELECT class, currency, sum(amount)::bigint AS balance FROM (
        SELECT 'processor_receivable' AS class, currency, amount FROM done
        UNION ALL
        SELECT CASE WHEN undone THEN 'suspense' WHEN charge THEN 'sales' ELSE 'refunds' END, currency, -amount FROM done
        UNION ALL
        SELECT 'refunds', currency, amount FROM reserved
    ) AS parts GROUP BY class, currency
)
SELECT NULL::text AS payment_id,
    coalesce(posted.balance, 0) = coalesce(expected.balance, 0)
        AND (class <> 'suspense' OR coalesce(posted.balance, 0) = 0) AS ok,
    jsonb_build_object('account', class, 'currency', currency, 'posted', posted.balance, 'processor', expected.balance)
        AS evidence
FROM posted FULL JOIN expected USING (class, currency)

-- check: I4 what is held is what is open
-- The memo of each payment is its hold while it is authorized, as it stands open at the processor, and zero otherwise.
WITH memo AS (
    SELECT payment_id, sum(amount) FILTER (WHERE class = 'held_authorizations') AS held,
        sum(-amount) FILTER (WHERE class = 'held_authorizations_contra') AS contra
    FROM entry WHERE class IN ('held_authorizations', 'held_authorizations_contra') GROUP BY payment_id
), open AS (
    SELECT id AS payment_id, amount_authorized AS amount FROM payment WHERE status = 'authorized'
)
SELECT payment_id,
    (coalesce(memo.held, 0), coalesce(memo.contra, 0)) = (coalesce(open.amount, 0), coalesce(open.amount, 0))
        AND (open.amount IS NULL OR open.amount = m.held) AS ok,
    jsonb_build_object('memo', memo.held, 'contra', memo.contra, 'row', open.amount, 'processor', m.held) AS evidence
FROM memo FULL JOIN open USING (payment_id) LEFT JOIN moved m USING (payment_id)

-- check: I4 what is owed is what is pending
-- refunds_payable of each payment is the sum of its pending refunds, and zero when all have ended.
WITH owed AS (
    SELECT payment_id, currency, -sum(amount) AS amount FROM entry WHERE class = 'refunds_payable' GROUP BY payment_id, currency
), pending AS (
    SELECT payment_id, currency, sum(amount) AS amount FROM refund WHERE status = 'pending' GROUP BY payment_id, currency
)
SELECT payment_id, coalesce(owed.amount, 0) = coalesce(pending.amount, 0) AS ok,
    jsonb_build_object('currency', currency, 'owed', owed.amount, 'pending', pending.amount) AS evidence
FROM owed FULL JOIN pending USING (payment_id, currency)
