-- What must be true of the books as a whole. Each statement gives the first row that breaks it, in words, or nothing.
-- `paysaga verify` runs them in one snapshot.

-- name: rules are all in force
SELECT 'trigger ' || tgname || ' of ' || tgrelid::regclass || ' is disabled' FROM pg_trigger
WHERE tgenabled <> 'O' AND NOT tgisinternal
UNION ALL
SELECT 'constraint ' || conname || ' of ' || conrelid::regclass || ' is not validated' FROM pg_constraint
WHERE NOT convalidated AND conrelid <> 0
LIMIT 1

-- name: the role of the application may do what the service needs and no more
-- Read everything and add; change and delete only this.
WITH listed (relation, may) AS (VALUES
    ('payments', 'UPDATE of columns'), ('refunds', 'UPDATE of columns'), ('webhook_events', 'UPDATE of columns'),
    ('account_totals', 'UPDATE of columns'), ('unchained', 'DELETE'), ('unfed', 'DELETE'),
    ('reconciliations', 'UPDATE of columns'), ('reconciliation_cases', 'UPDATE of columns'), ('settlement_items', 'DELETE'),
    ('webhook_endpoints', 'UPDATE of columns'), ('webhook_secrets', 'UPDATE of columns'),
    ('webhook_deliveries', 'UPDATE of columns')
), application AS (
    SELECT to_regrole('paysaga_application')::oid AS role, current_database() AS database
), granted AS (
    SELECT relname::text AS relation, may FROM application, pg_class c, unnest(
        ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN']) AS may
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
      AND has_table_privilege(role, c.oid, may)
    UNION ALL
    SELECT relname, may || ' of columns' FROM application, pg_class c, unnest(ARRAY['INSERT', 'UPDATE', 'REFERENCES']) AS may
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
      AND has_any_column_privilege(role, c.oid, may) AND NOT has_table_privilege(role, c.oid, may)
)
SELECT 'there is no role paysaga_application: run `paysaga migrate`' FROM application WHERE role IS NULL
UNION ALL
SELECT 'paysaga_application may ' || may || ' ' || relation FROM granted
WHERE (relation, may) NOT IN (SELECT * FROM listed) AND (may NOT LIKE 'INSERT%' OR relation = 'schema_migrations')
UNION ALL
SELECT 'paysaga_application may create tables' FROM application
WHERE has_schema_privilege(role, 'public', 'CREATE') OR has_database_privilege(role, database, 'CREATE')
   OR has_database_privilege(role, database, 'TEMPORARY')
UNION ALL
SELECT 'paysaga_application is more than a group' FROM pg_roles JOIN application ON role = oid
WHERE rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
UNION ALL
SELECT 'paysaga_application is a member of ' || roleid::regrole FROM pg_auth_members JOIN application ON member = role
LIMIT 1

-- name: every movement has its posting
SELECT 'transaction ' || t.sequence || ' (' || operation_key || ') of payment ' || payment_id FROM ledger_transactions t
WHERE NOT EXISTS (SELECT FROM postings p WHERE p.transaction = t.sequence)
ORDER BY t.sequence LIMIT 1

-- name: every payment says what is posted for it
WITH posted AS (
    SELECT t.payment_id, p.currency,
        coalesce(sum(amount) FILTER (WHERE operation = 'capture'), 0) AS captured,
        coalesce(sum(CASE operation WHEN 'refund' THEN amount ELSE -amount END)
            FILTER (WHERE operation IN ('refund', 'refund_reversal')), 0) AS refunded
    FROM ledger_transactions t JOIN postings p ON p.transaction = t.sequence GROUP BY t.payment_id, p.currency
)
SELECT 'payment ' || p.id || ' says ' || amount_captured || ' captured and ' || amount_refunded || ' refunded, the journal '
    || coalesce(captured, 0) || ' and ' || coalesce(refunded, 0)
FROM payments p LEFT JOIN posted ON posted.payment_id = p.id AND posted.currency = p.currency
WHERE (amount_captured, amount_refunded) IS DISTINCT FROM (coalesce(captured, 0), coalesce(refunded, 0))
ORDER BY p.id LIMIT 1

-- name: no payment gives back more than it took
SELECT 'payment ' || id FROM payments
WHERE amount_refunded < 0 OR amount_refunding < 0 OR amount_refunded + amount_refunding > amount_captured
ORDER BY id LIMIT 1

-- name: every payment says what its refunds say
WITH asked AS (
    SELECT payment_id, coalesce(sum(amount) FILTER (WHERE status = 'succeeded'), 0) AS succeeded,
        coalesce(sum(amount) FILTER (WHERE status = 'pending'), 0) AS pending
    FROM refunds GROUP BY payment_id
)
SELECT 'payment ' || id || ' says ' || amount_refunded || ' refunded and ' || amount_refunding || ' reserved, its refunds '
    || coalesce(succeeded, 0) || ' and ' || coalesce(pending, 0)
FROM payments LEFT JOIN asked ON payment_id = id
-- A charge that was undone went back without anybody's asking for a refund.
WHERE (amount_refunded, amount_refunding) IS DISTINCT FROM (coalesce(succeeded, 0), coalesce(pending, 0))
  AND status <> 'failed'
ORDER BY id LIMIT 1

-- name: what is owed for refunds is what is pending
WITH posted AS (
    SELECT t.payment_id, e.currency, -sum(amount) AS owed FROM entries e JOIN ledger_transactions t ON t.sequence = e.transaction
    WHERE account = 'refunds_payable' GROUP BY t.payment_id, e.currency
), asked AS (
    SELECT payment_id, currency, sum(amount) AS pending FROM refunds WHERE status = 'pending' GROUP BY payment_id, currency
)
SELECT 'payment ' || payment_id || ' in ' || currency || ': ' || coalesce(owed, 0) || ' owed, ' || coalesce(pending, 0)
    || ' pending'
FROM posted FULL JOIN asked USING (payment_id, currency) WHERE coalesce(owed, 0) <> coalesce(pending, 0)
ORDER BY payment_id LIMIT 1

-- name: what is held is what authorized payments hold
WITH posted AS (
    SELECT t.payment_id, account, e.currency, sum(amount) AS held
    FROM entries e JOIN ledger_transactions t ON t.sequence = e.transaction
    WHERE starts_with(account, 'held_authorizations:') GROUP BY t.payment_id, account, e.currency
), held AS (
    SELECT id AS payment_id, 'held_authorizations:' || processor AS account, currency, amount_authorized
    FROM payments WHERE status = 'authorized'
)
SELECT 'payment ' || payment_id || ' in ' || currency || ': ' || coalesce(posted.held, 0) || ' posted, '
    || coalesce(amount_authorized, 0) || ' held'
FROM posted FULL JOIN held USING (payment_id, account, currency)
WHERE coalesce(posted.held, 0) <> coalesce(amount_authorized, 0)
ORDER BY payment_id LIMIT 1

-- name: every order is held by one payment
SELECT 'order ' || order_id FROM payments
WHERE order_id IS NOT NULL AND NOT order_freed
  AND status IN ('processing', 'requires_action', 'authorized', 'succeeded', 'partially_refunded')
GROUP BY order_id HAVING count(*) > 1 ORDER BY order_id LIMIT 1

-- name: the history tells every movement once
SELECT 'transaction ' || coalesce(t.sequence, h.transaction) FROM (
    SELECT t.sequence, t.payment_id, t.operation, p.currency,
        CASE WHEN starts_with(p.debit_account, 'processor_receivable:') THEN p.amount ELSE -p.amount END AS amount
    FROM ledger_transactions t JOIN postings p ON p.transaction = t.sequence
    WHERE starts_with(p.debit_account, 'processor_receivable:') OR starts_with(p.credit_account, 'processor_receivable:')
) AS t FULL JOIN (SELECT * FROM history WHERE transaction IS NOT NULL) AS h ON h.transaction = t.sequence
WHERE (t.payment_id, t.operation, t.currency, t.amount) IS DISTINCT FROM (h.payment_id, h.type, h.currency, h.amount)
ORDER BY coalesce(t.sequence, h.transaction) LIMIT 1

-- name: every movement is in the chain or waits for its number
SELECT 'transaction ' || t.sequence FROM ledger_transactions t
LEFT JOIN ledger_chain c ON c.transaction = t.sequence LEFT JOIN unchained u ON u.transaction = t.sequence
WHERE (c.transaction IS NULL) = (u.transaction IS NULL)
ORDER BY t.sequence LIMIT 1

-- name: every total is the sum of the movements in the chain
SELECT 'account ' || coalesce(s.account, t.account) || ' in ' || coalesce(s.currency, t.currency) FROM (
    SELECT account, currency, coalesce(sum(amount) FILTER (WHERE amount > 0), 0) AS debits,
        coalesce(sum(-amount) FILTER (WHERE amount < 0), 0) AS credits
    FROM entries JOIN ledger_chain c ON c.transaction = entries.transaction GROUP BY account, currency
) AS s FULL JOIN account_totals t ON t.account = s.account AND t.currency = s.currency
WHERE (s.debits, s.credits) IS DISTINCT FROM (t.debits, t.credits)
ORDER BY 1 LIMIT 1

-- name: every event has its number or waits for it
SELECT 'event evt_' || e.position || ' of payment ' || payment_id FROM payment_events e
LEFT JOIN event_feed f ON f.position = e.position LEFT JOIN unfed u ON u.position = e.position
WHERE (f.position IS NULL) = (u.position IS NULL)
ORDER BY e.position LIMIT 1

-- name: the feed has no gaps
SELECT 'sequence ' || sequence FROM (SELECT sequence, row_number() OVER (ORDER BY sequence) AS number FROM event_feed) AS f
WHERE sequence <> number ORDER BY sequence LIMIT 1
