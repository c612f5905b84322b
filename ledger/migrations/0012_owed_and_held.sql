-- Refunds that were asked for are owed until they are made (`refunds_payable`), and holds that wait for their capture stand in
-- the books as a memo. Both are posted by the database with the change that they tell of: no code and no statement by hand
-- can make the one without the other.

-- In the order in which everybody takes them, payments first even if only to lock a row; held until what is under way is
-- posted. The last ones as whole as the changes below need them.
LOCK TABLE payments, refunds IN EXCLUSIVE MODE;
LOCK TABLE ledger_transactions, postings, accounts IN ACCESS EXCLUSIVE MODE;

ALTER TABLE ledger_transactions DROP CONSTRAINT operation_moves_money;
ALTER TABLE ledger_transactions ADD CONSTRAINT operation_moves_money CHECK (operation IN (
    'capture', 'refund', 'refund_reversal',
    -- Nothing moved yet, or any more: what is owed, or held.
    'refund_reservation', 'refund_release', 'hold', 'hold_release'));

-- Nothing is ours of what is held: that pair of accounts stays beside the balance sheet.
ALTER TABLE postings ADD CONSTRAINT memo_stays_off_the_balance_sheet CHECK (
    starts_with(debit_account, 'held_authorizations') = starts_with(credit_account, 'held_authorizations'));
-- A memo that the books refused would undo the charge of a hold that was captured.
ALTER TABLE accounts ADD CONSTRAINT memo_is_never_closed CHECK (
    closed_at IS NULL OR NOT starts_with(name, 'held_authorizations'));

-- As payments/identifiers.py makes the key of an operation's first attempt.
CREATE FUNCTION processor_key(operation text, subject text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT operation || '-1-' || left(encode(sha256(convert_to(subject, 'UTF8')), 'hex'), 32)
$$;

CREATE FUNCTION post_entry(of_payment text, key text, kind text, of_processor text, reference text,
    debit text, credit text, units bigint, unit text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    recorded bigint;
BEGIN
    -- In one order, so that no two wait for each other.
    INSERT INTO accounts (name, currency) VALUES (least(debit, credit), unit), (greatest(debit, credit), unit)
        ON CONFLICT DO NOTHING;
    INSERT INTO ledger_transactions (operation_key, payment_id, operation, processor, processor_reference)
        VALUES (key, of_payment, kind, of_processor, reference) RETURNING sequence INTO recorded;
    INSERT INTO postings (transaction, debit_account, credit_account, amount, currency)
        VALUES (recorded, debit, credit, units, unit);
END $$;

CREATE FUNCTION post_reservation(refund refunds) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    key text := processor_key('refund', refund.payment_id || E'\n' || refund.id);
    charge ledger_transactions;
BEGIN
    -- The processor has no name for this yet: the charge's stands in for it.
    SELECT * INTO charge FROM ledger_transactions
        WHERE payment_id = refund.payment_id AND operation = 'capture' ORDER BY sequence LIMIT 1;
    IF charge IS NULL THEN
        RETURN; -- Of what was not charged nothing can be reserved: other rules refuse this refund.
    END IF;
    IF refund.status = 'pending' THEN
        PERFORM post_entry(refund.payment_id, 'reservation-of-' || key, 'refund_reservation', charge.processor,
            charge.processor_reference, 'refunds', 'refunds_payable', refund.amount, refund.currency);
    ELSE
        PERFORM post_entry(refund.payment_id, 'release-of-' || key, 'refund_release', charge.processor,
            charge.processor_reference, 'refunds_payable', 'refunds', refund.amount, refund.currency);
    END IF;
END $$;

CREATE FUNCTION post_hold(payment payments, held boolean, units bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    key text := processor_key('authorize', payment.id);
    memo text := 'held_authorizations:' || payment.processor;
    contra text := 'held_authorizations_contra';
BEGIN
    IF held THEN
        PERFORM post_entry(payment.id, key, 'hold', payment.processor, payment.hold_reference, memo, contra, units,
            payment.currency);
    ELSE
        PERFORM post_entry(payment.id, 'release-of-' || key, 'hold_release', payment.processor, payment.hold_reference,
            contra, memo, units, payment.currency);
    END IF;
END $$;

-- What is under way at this moment: owed and held whether or not finance has closed an account meanwhile.
ALTER TABLE postings DISABLE TRIGGER account_is_open;
SELECT post_reservation(refunds) FROM refunds WHERE status = 'pending' ORDER BY payment_id, id;
SELECT post_hold(payments, true, amount_authorized) FROM payments WHERE status = 'authorized' ORDER BY id;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE postings ENABLE TRIGGER account_is_open;

CREATE FUNCTION post_refund_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM post_reservation(NEW);
    RETURN NULL;
END $$;
-- One that is made is posted with what the processor says of it, and takes away what is owed.
CREATE TRIGGER reservation_is_posted AFTER INSERT ON refunds FOR EACH ROW
    WHEN (NEW.status = 'pending') EXECUTE FUNCTION post_refund_change();
CREATE TRIGGER reservation_is_released AFTER UPDATE OF status ON refunds FOR EACH ROW
    WHEN (OLD.status = 'pending' AND NEW.status = 'failed') EXECUTE FUNCTION post_refund_change();

CREATE FUNCTION post_hold_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Released whole, whatever was captured of it.
    PERFORM post_hold(NEW, NEW.status = 'authorized',
        CASE NEW.status WHEN 'authorized' THEN NEW.amount_authorized ELSE OLD.amount_authorized END);
    RETURN NULL;
END $$;
CREATE TRIGGER hold_is_posted_at_first AFTER INSERT ON payments FOR EACH ROW
    WHEN (NEW.status = 'authorized') EXECUTE FUNCTION post_hold_change();
CREATE TRIGGER hold_is_posted AFTER UPDATE OF status ON payments FOR EACH ROW
    WHEN ((NEW.status = 'authorized') <> (OLD.status = 'authorized')) EXECUTE FUNCTION post_hold_change();

-- What is owed and held of a payment is what its rows say, when the transaction commits.
CREATE FUNCTION check_owed_and_held() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    payment payments;
    pending bigint;
    owed bigint;
    held bigint;
BEGIN
    IF TG_TABLE_NAME = 'refunds' THEN
        SELECT * INTO payment FROM payments WHERE id = NEW.payment_id;
    ELSE
        SELECT p.* INTO payment FROM payments p JOIN ledger_transactions t ON t.payment_id = p.id
            WHERE t.sequence = NEW.transaction;
    END IF;
    SELECT coalesce(sum(amount), 0) INTO pending FROM refunds WHERE payment_id = payment.id AND status = 'pending';
    SELECT coalesce(-sum(amount) FILTER (WHERE account = 'refunds_payable'), 0),
           coalesce(sum(amount) FILTER (WHERE starts_with(account, 'held_authorizations:')), 0)
        INTO owed, held FROM entries JOIN ledger_transactions t ON t.sequence = transaction
        WHERE t.payment_id = payment.id;
    IF owed <> pending THEN
        RAISE EXCEPTION 'the journal owes % for refunds of payment %, whose pending ones are %', owed, payment.id, pending
            USING ERRCODE = 'check_violation', CONSTRAINT = 'owed_is_pending';
    END IF;
    IF held <> (CASE payment.status WHEN 'authorized' THEN payment.amount_authorized ELSE 0 END) THEN
        RAISE EXCEPTION 'the journal holds % for payment %, which is % of %', held, payment.id, payment.status,
            payment.amount_authorized USING ERRCODE = 'check_violation', CONSTRAINT = 'held_is_authorized';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER owed_is_pending AFTER UPDATE OF status ON refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_owed_and_held();
CREATE CONSTRAINT TRIGGER owed_is_pending AFTER INSERT ON postings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ('refunds_payable' IN (NEW.debit_account, NEW.credit_account)
          OR starts_with(NEW.debit_account, 'held_authorizations'))
    EXECUTE FUNCTION check_owed_and_held();
