-- Refunds: each reserves its amount here before the processor is asked for it.

-- What refunds under way have reserved of the charge.
ALTER TABLE payments ADD COLUMN amount_refunding bigint NOT NULL DEFAULT 0;
-- Fully refunded once: another payment may hold the order since then, so this one never holds it again.
ALTER TABLE payments ADD COLUMN order_freed boolean NOT NULL DEFAULT false;

ALTER TABLE payments DROP CONSTRAINT refunded_within_captured;
ALTER TABLE payments ADD CONSTRAINT refunded_within_captured CHECK (
    amount_refunded >= 0 AND amount_refunding >= 0 AND amount_refunded + amount_refunding <= amount_captured);
ALTER TABLE payments ADD CONSTRAINT refunded_means_all CHECK (
    status <> 'refunded' OR (amount_captured > 0 AND amount_refunded = amount_captured));
ALTER TABLE payments ADD CONSTRAINT partially_refunded_means_some CHECK (
    status <> 'partially_refunded' OR (amount_refunded > 0 AND amount_refunded < amount_captured));
ALTER TABLE payments ADD CONSTRAINT refunding_means_charged CHECK (
    amount_refunding = 0 OR status IN ('succeeded', 'partially_refunded'));
ALTER TABLE payments DROP CONSTRAINT undone_never_succeeds;
ALTER TABLE payments ADD CONSTRAINT undone_never_succeeds CHECK (
    undoing IS NULL OR status NOT IN ('succeeded', 'authorized', 'partially_refunded', 'refunded'));

DROP INDEX one_payment_for_an_order;
CREATE UNIQUE INDEX one_payment_for_an_order ON payments (order_id)
    WHERE order_id IS NOT NULL AND NOT order_freed
      AND status IN ('processing', 'requires_action', 'authorized', 'succeeded', 'partially_refunded');

-- One row for each refund that was asked for, also the refused ones, of which nothing was reserved.
CREATE TABLE refunds (
    payment_id          text NOT NULL,
    id                  text NOT NULL,
    fingerprint         text NOT NULL,
    -- Zero for a refused request whose amount could not be read.
    amount              bigint NOT NULL,
    currency            text NOT NULL,
    reason              text,
    -- Over HTTP, or by a signal of a person or another program.
    requested_by        text NOT NULL,
    status              text NOT NULL,
    failure_code        text,
    failure_message     text,
    processor_reference text,
    unknown_since       timestamptz,
    unknown_next_check  timestamptz,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT refunds_pkey PRIMARY KEY (payment_id, id),
    CONSTRAINT refund_of_payment FOREIGN KEY (payment_id) REFERENCES payments (id) ON DELETE RESTRICT,
    CONSTRAINT refund_id_is_a_key CHECK (id ~ '^[ -~]{1,255}$' AND id !~ '[/\\?#%]' AND id NOT IN ('.', '..')),
    CONSTRAINT refund_fingerprint_is_sha256 CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
    CONSTRAINT refund_status_is_known CHECK (status IN ('pending', 'succeeded', 'failed')),
    CONSTRAINT requester_is_known CHECK (requested_by IN ('client', 'operator')),
    CONSTRAINT refund_gives_something_back CHECK (amount > 0 OR (amount = 0 AND status = 'failed')),
    CONSTRAINT refund_failure_is_whole CHECK ((failure_code IS NULL) = (failure_message IS NULL)),
    CONSTRAINT failure_explains_failed_refund CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CONSTRAINT succeeded_refund_has_a_reference CHECK (status <> 'succeeded' OR processor_reference IS NOT NULL),
    CONSTRAINT refund_unknown_is_whole CHECK ((unknown_since IS NULL) = (unknown_next_check IS NULL)),
    CONSTRAINT only_a_pending_refund_is_unknown CHECK (unknown_since IS NULL OR status = 'pending')
);

CREATE TRIGGER never_forgotten BEFORE DELETE ON refunds FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_forgotten_truncate BEFORE TRUNCATE ON refunds EXECUTE FUNCTION refuse_change();

-- A refund stays the one that was asked for, and goes one way: pending, succeeded, failed.
CREATE FUNCTION keep_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.payment_id, NEW.id, NEW.fingerprint, NEW.amount, NEW.currency, NEW.reason, NEW.requested_by, NEW.created_at)
       IS DISTINCT FROM
       (OLD.payment_id, OLD.id, OLD.fingerprint, OLD.amount, OLD.currency, OLD.reason, OLD.requested_by, OLD.created_at)
       OR (OLD.status = 'failed' AND NEW.status <> 'failed')
       OR (OLD.status = 'succeeded' AND NEW.status = 'pending') THEN
        RAISE EXCEPTION 'refund % of payment % is fixed', OLD.id, OLD.payment_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'refund_is_fixed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refund_is_fixed BEFORE UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION keep_refund();

-- What the payment's row says of its refunds is what they add up to. A payment that was undone gave back without them.
CREATE FUNCTION check_refunds_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    payment payments;
    pending bigint;
    succeeded bigint;
BEGIN
    IF TG_TABLE_NAME = 'payments' THEN
        SELECT * INTO payment FROM payments WHERE id = NEW.id;
    ELSE
        SELECT * INTO payment FROM payments WHERE id = NEW.payment_id;
    END IF;
    SELECT coalesce(sum(amount) FILTER (WHERE status = 'pending'), 0),
           coalesce(sum(amount) FILTER (WHERE status = 'succeeded'), 0)
        INTO pending, succeeded FROM refunds WHERE payment_id = payment.id AND currency = payment.currency;
    IF payment.amount_refunding <> pending
       OR (payment.status <> 'failed' AND payment.amount_refunded <> succeeded) THEN
        RAISE EXCEPTION 'payment % says % under way and % refunded, its refunds % and %', payment.id,
            payment.amount_refunding, payment.amount_refunded, pending, succeeded
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_add_up';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER refunds_add_up AFTER INSERT OR UPDATE ON refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_refunds_add_up();
CREATE CONSTRAINT TRIGGER refunds_add_up AFTER UPDATE OF amount_refunding, amount_refunded ON payments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.amount_refunding, NEW.amount_refunded) IS DISTINCT FROM (OLD.amount_refunding, OLD.amount_refunded))
    EXECUTE FUNCTION check_refunds_add_up();

-- A refund that failed at the processor after it had succeeded is reversed: money that came back to us.
ALTER TABLE ledger_transactions DROP CONSTRAINT operation_moves_money;
ALTER TABLE ledger_transactions ADD CONSTRAINT operation_moves_money CHECK (
    operation IN ('capture', 'refund', 'refund_reversal'));

CREATE OR REPLACE FUNCTION check_amounts_posted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    payment payments;
    posted_captured bigint;
    posted_refunded bigint;
BEGIN
    IF TG_TABLE_NAME = 'payments' THEN
        SELECT * INTO payment FROM payments WHERE id = NEW.id;
    ELSE
        SELECT p.* INTO payment FROM payments p JOIN ledger_transactions t ON t.payment_id = p.id
            WHERE t.sequence = NEW.transaction;
    END IF;
    SELECT coalesce(sum(amount) FILTER (WHERE operation = 'capture' AND debit_account LIKE 'processor\_receivable:%'), 0),
           coalesce(sum(amount) FILTER (WHERE operation = 'refund' AND credit_account LIKE 'processor\_receivable:%'), 0)
           - coalesce(sum(amount) FILTER (
               WHERE operation = 'refund_reversal' AND debit_account LIKE 'processor\_receivable:%'), 0)
        INTO posted_captured, posted_refunded
        FROM postings JOIN ledger_transactions t ON t.sequence = transaction
        WHERE t.payment_id = payment.id AND postings.currency = payment.currency;
    IF (posted_captured, posted_refunded) IS DISTINCT FROM (payment.amount_captured, payment.amount_refunded) THEN
        RAISE EXCEPTION 'payment % says % captured and % refunded, the journal % and %', payment.id,
            payment.amount_captured, payment.amount_refunded, posted_captured, posted_refunded
            USING ERRCODE = 'check_violation', CONSTRAINT = 'amounts_are_posted';
    END IF;
    RETURN NULL;
END $$;
