-- The transaction history, and indexes by which payments are listed: newest first, by whatever they are chosen.

-- In the order in which whoever writes takes them; held until the past is told, so that nothing is told twice or not at all.
LOCK TABLE refunds, payments, ledger_transactions, postings IN SHARE ROW EXCLUSIVE MODE;

-- Each page is read from its first row to its last along one of these, however many rows there are.
CREATE INDEX payments_by_time ON payments (created_at, id);
CREATE INDEX payments_of_customer ON payments (customer, created_at, id) WHERE customer IS NOT NULL;
CREATE INDEX payments_of_order ON payments (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX payments_by_currency ON payments (currency, created_at, id);
-- Most have succeeded: those are found along the time.
CREATE INDEX payments_by_status ON payments (status, created_at, id) WHERE status <> 'succeeded';

-- One line for each movement of money, and for each payment or refund that came to nothing. What it is chosen by stands in
-- the line; the rest is looked up in what it tells of, which doesn't change any more.
CREATE TABLE history (
    -- The order of insertion. Not gapless: a transaction that is rolled back leaves a hole.
    position   bigint GENERATED ALWAYS AS IDENTITY,
    payment_id text NOT NULL,
    refund_id  text,
    type       text NOT NULL,
    status     text NOT NULL,
    -- Positive came in, negative went out.
    amount     bigint NOT NULL,
    currency   text NOT NULL,
    customer   text,
    order_id   text,
    -- The movement in the books.
    transaction bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT history_pkey PRIMARY KEY (position),
    CONSTRAINT line_type_is_known CHECK (type IN ('capture', 'refund', 'refund_reversal', 'payment')),
    CONSTRAINT line_status_is_known CHECK (status IN ('succeeded', 'declined', 'failed', 'canceled', 'expired')),
    CONSTRAINT success_is_a_movement CHECK ((status = 'succeeded') = (transaction IS NOT NULL)),
    CONSTRAINT only_a_movement_has_an_amount CHECK ((transaction IS NULL) = (amount = 0))
);

-- What went through the receivable of a processor, whichever account stands on our side of it.
CREATE FUNCTION tell_of_movement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (payment_id, refund_id, type, status, amount, currency, customer, order_id, transaction)
    SELECT t.payment_id,
           -- None when a charge was undone: nobody asked for that refund.
           (SELECT r.id FROM refunds r WHERE t.operation <> 'capture' AND r.payment_id = t.payment_id
                AND r.processor_reference = t.processor_reference ORDER BY r.created_at, r.id LIMIT 1),
           t.operation, 'succeeded',
           CASE WHEN starts_with(NEW.debit_account, 'processor_receivable:') THEN NEW.amount ELSE -NEW.amount END,
           NEW.currency, p.customer, p.order_id, t.sequence
    FROM ledger_transactions t JOIN payments p ON p.id = t.payment_id WHERE t.sequence = NEW.transaction;
    RETURN NULL;
END $$;
CREATE TRIGGER movement_is_told AFTER INSERT ON postings FOR EACH ROW
    WHEN (starts_with(NEW.debit_account, 'processor_receivable:')
          OR starts_with(NEW.credit_account, 'processor_receivable:'))
    EXECUTE FUNCTION tell_of_movement();

CREATE FUNCTION tell_of_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (payment_id, type, status, amount, currency, customer, order_id)
    VALUES (NEW.id, 'payment', NEW.status, 0, NEW.currency, NEW.customer, NEW.order_id);
    RETURN NULL;
END $$;
-- Deferred: of a charge that was undone, the movements are told first.
CREATE CONSTRAINT TRIGGER end_is_told AFTER UPDATE OF status ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.status IN ('declined', 'failed', 'canceled', 'expired') AND NEW.status <> OLD.status)
    EXECUTE FUNCTION tell_of_end();
CREATE CONSTRAINT TRIGGER end_is_told_at_first AFTER INSERT ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.status IN ('declined', 'failed', 'canceled', 'expired')) EXECUTE FUNCTION tell_of_end();

-- One that was refused before the processor was asked stands with its payment only: nothing was to move.
CREATE FUNCTION tell_of_failed_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (payment_id, refund_id, type, status, amount, currency, customer, order_id)
    SELECT id, NEW.id, 'refund', 'failed', 0, NEW.currency, customer, order_id FROM payments WHERE id = NEW.payment_id;
    RETURN NULL;
END $$;
CREATE TRIGGER failed_refund_is_told AFTER UPDATE ON refunds FOR EACH ROW
    WHEN (OLD.status = 'pending' AND NEW.status = 'failed') EXECUTE FUNCTION tell_of_failed_refund();

-- The past.
INSERT INTO history (payment_id, refund_id, type, status, amount, currency, customer, order_id, transaction, created_at)
SELECT payment_id, refund_id, type, past.status, past.amount, past.currency, p.customer, p.order_id, transaction, at
FROM (
    SELECT t.payment_id,
           (SELECT r.id FROM refunds r WHERE t.operation <> 'capture' AND r.payment_id = t.payment_id
                AND r.processor_reference = t.processor_reference ORDER BY r.created_at, r.id LIMIT 1) AS refund_id,
           t.operation AS type, 'succeeded' AS status,
           CASE WHEN starts_with(o.debit_account, 'processor_receivable:') THEN o.amount ELSE -o.amount END AS amount,
           o.currency, t.sequence AS transaction, t.created_at AS at
        FROM ledger_transactions t JOIN postings o ON o.transaction = t.sequence
        WHERE starts_with(o.debit_account, 'processor_receivable:')
           OR starts_with(o.credit_account, 'processor_receivable:')
    UNION ALL
    SELECT id, NULL, 'payment', status, 0, currency, NULL, updated_at FROM payments
        WHERE status IN ('declined', 'failed', 'canceled', 'expired')
    UNION ALL
    -- One that has a reference had succeeded before it failed.
    SELECT payment_id, id, 'refund', 'failed', 0, currency, NULL, updated_at FROM refunds
        WHERE status = 'failed' AND processor_reference IS NULL
          AND failure_code NOT IN ('payment_not_refundable', 'refund_exceeds_refundable', 'malformed')
) AS past JOIN payments p ON p.id = past.payment_id
ORDER BY at, transaction NULLS LAST;

CREATE INDEX history_by_time ON history (created_at, position);
CREATE INDEX history_of_customer ON history (customer, created_at, position) WHERE customer IS NOT NULL;
CREATE INDEX history_of_order ON history (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX history_by_currency ON history (currency, created_at, position);
-- Most lines are captures: those are found along the time.
CREATE INDEX history_by_status ON history (status, created_at, position) WHERE status <> 'succeeded';
CREATE INDEX history_by_type ON history (type, created_at, position) WHERE type <> 'capture';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON history FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON history EXECUTE FUNCTION refuse_change();
CREATE TRIGGER written_by_the_change BEFORE INSERT ON history
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_invention();
