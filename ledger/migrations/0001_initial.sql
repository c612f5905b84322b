-- The books of one shop. Rules that must never break are named constraints here, not checks in code.

-- One row for each payment that was ever claimed. It is written before anything is held or charged, and is never
-- deleted: Temporal forgets a closed workflow after its retention, a processor a key after a day, this row never.
CREATE TABLE payments (
    id                  text NOT NULL,
    fingerprint         text NOT NULL,
    request             jsonb NOT NULL,
    status              text NOT NULL DEFAULT 'processing',
    amount              bigint NOT NULL,
    currency            text NOT NULL,
    amount_authorized   bigint NOT NULL DEFAULT 0,
    amount_captured     bigint NOT NULL DEFAULT 0,
    amount_refunded     bigint NOT NULL DEFAULT 0,
    customer            text,
    order_id            text,
    processor           text,
    processor_reference text,
    failure_code        text,
    failure_message     text,
    -- The processor's echo differed from what was sent.
    conflicted          boolean NOT NULL DEFAULT false,
    -- An operation whose outcome the processor has not told us yet; all three or none.
    unknown_operation   text,
    unknown_since       timestamptz,
    unknown_next_check  timestamptz,
    -- How it is being undone. Written before the first thing is undone, so that a later run goes on undoing
    -- instead of charging or recording what was given back.
    undoing             jsonb,
    -- The workflow run that claimed the key: evidence, and how a later run knows that it isn't the first.
    first_run           text NOT NULL,
    -- The first decided answer, given to every repetition of the request for ever.
    answer              jsonb,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT payments_pkey PRIMARY KEY (id),
    CONSTRAINT payment_id_is_a_key CHECK (id ~ '^[ -~]{1,255}$' AND id !~ '[/\\?#%]' AND id NOT IN ('.', '..')),
    CONSTRAINT fingerprint_is_sha256 CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
    CONSTRAINT status_is_known CHECK (status IN (
        'processing', 'requires_action', 'authorized', 'succeeded', 'partially_refunded', 'refunded',
        'declined', 'canceled', 'failed', 'expired')),
    CONSTRAINT amount_is_positive CHECK (amount > 0),
    CONSTRAINT currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT refunded_within_captured CHECK (amount_refunded BETWEEN 0 AND amount_captured),
    CONSTRAINT authorized_is_not_negative CHECK (amount_authorized >= 0),
    CONSTRAINT answered_when_decided CHECK ((status IN ('processing', 'requires_action')) = (answer IS NULL)),
    CONSTRAINT succeeded_means_charged CHECK (
        status <> 'succeeded' OR (amount_captured = amount AND amount_refunded = 0 AND NOT conflicted)),
    CONSTRAINT refused_means_not_charged CHECK (
        status NOT IN ('declined', 'canceled', 'expired') OR amount_captured = 0),
    CONSTRAINT failed_means_nothing_kept CHECK (status <> 'failed' OR amount_captured = amount_refunded),
    CONSTRAINT failure_has_a_code CHECK ((failure_code IS NULL) = (failure_message IS NULL)),
    CONSTRAINT failure_explains_failed CHECK (status NOT IN ('declined', 'failed') OR failure_code IS NOT NULL),
    CONSTRAINT unknown_is_whole CHECK (num_nulls(unknown_operation, unknown_since, unknown_next_check) IN (0, 3)),
    CONSTRAINT decided_means_known CHECK (answer IS NULL OR unknown_operation IS NULL),
    CONSTRAINT undone_never_succeeds CHECK (undoing IS NULL OR status NOT IN ('succeeded', 'authorized'))
);

-- An order is held by one payment that is open or paid.
CREATE UNIQUE INDEX one_payment_for_an_order ON payments (order_id)
    WHERE order_id IS NOT NULL
      AND status IN ('processing', 'requires_action', 'authorized', 'succeeded', 'partially_refunded');

-- The chart of accounts. Finance may close an account; nothing is posted to it until it is opened again.
CREATE TABLE accounts (
    name      text NOT NULL,
    currency  text NOT NULL,
    closed_at timestamptz,

    CONSTRAINT accounts_pkey PRIMARY KEY (name, currency),
    CONSTRAINT account_name_is_plain CHECK (name ~ '^[a-z_]+(:[a-z0-9_]+)?$'),
    CONSTRAINT account_currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$')
);

-- One row for each event that moved money at the processor. The key that was sent to the processor names it, so
-- the same event recorded twice is one row, and the processor's own records can be joined to it.
CREATE TABLE ledger_transactions (
    sequence            bigint GENERATED ALWAYS AS IDENTITY,
    operation_key       text NOT NULL,
    payment_id          text NOT NULL,
    operation           text NOT NULL,
    processor           text NOT NULL,
    processor_reference text NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT ledger_transactions_pkey PRIMARY KEY (sequence),
    CONSTRAINT recorded_once UNIQUE (operation_key),
    CONSTRAINT operation_moves_money CHECK (operation IN ('capture', 'refund')),
    CONSTRAINT transaction_of_payment FOREIGN KEY (payment_id) REFERENCES payments (id) ON DELETE RESTRICT
);
CREATE INDEX transactions_of_payment ON ledger_transactions (payment_id);

-- A posting debits one account and credits another by the same amount of the same currency: one that doesn't
-- balance can't be written down.
CREATE TABLE postings (
    sequence       bigint GENERATED ALWAYS AS IDENTITY,
    transaction    bigint NOT NULL,
    debit_account  text NOT NULL,
    credit_account text NOT NULL,
    amount         bigint NOT NULL,
    currency       text NOT NULL,

    CONSTRAINT postings_pkey PRIMARY KEY (sequence),
    CONSTRAINT posting_moves_something CHECK (amount > 0),
    CONSTRAINT posting_has_two_sides CHECK (debit_account <> credit_account),
    CONSTRAINT posting_of_transaction FOREIGN KEY (transaction) REFERENCES ledger_transactions ON DELETE RESTRICT,
    CONSTRAINT debit_account_exists FOREIGN KEY (debit_account, currency) REFERENCES accounts (name, currency),
    CONSTRAINT credit_account_exists FOREIGN KEY (credit_account, currency) REFERENCES accounts (name, currency)
);
CREATE INDEX postings_of_transaction ON postings (transaction);

-- Both sides of each posting as signed entries: debits positive, credits negative.
CREATE VIEW entries AS
    SELECT transaction, debit_account AS account, currency, amount FROM postings
    UNION ALL
    SELECT transaction, credit_account, currency, -amount FROM postings;

CREATE VIEW balances AS
    SELECT account, currency, sum(amount)::bigint AS balance FROM entries GROUP BY account, currency;

-- Append-only: a correction is another transaction, never a change.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'append_only';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_transactions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON postings
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON ledger_transactions EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON postings EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_forgotten BEFORE DELETE ON payments FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_forgotten_truncate BEFORE TRUNCATE ON payments EXECUTE FUNCTION refuse_change();

-- What was asked, who asked first and what was answered stay as they were written.
CREATE FUNCTION keep_what_was_said() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.fingerprint, NEW.request, NEW.amount, NEW.currency, NEW.customer, NEW.order_id, NEW.processor,
        NEW.first_run, NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.fingerprint, OLD.request, OLD.amount, OLD.currency, OLD.customer, OLD.order_id, OLD.processor,
        OLD.first_run, OLD.created_at)
       OR (OLD.answer IS NOT NULL AND NEW.answer IS DISTINCT FROM OLD.answer) THEN
        RAISE EXCEPTION 'the request and the answer of payment % are fixed', OLD.id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'request_and_answer_are_fixed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER request_and_answer_are_fixed BEFORE UPDATE ON payments
    FOR EACH ROW EXECUTE FUNCTION keep_what_was_said();

CREATE FUNCTION refuse_closed_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed text;
BEGIN
    SELECT string_agg(name, ', ') INTO closed FROM accounts
        WHERE name IN (NEW.debit_account, NEW.credit_account) AND currency = NEW.currency AND closed_at IS NOT NULL;
    IF closed IS NOT NULL THEN
        RAISE EXCEPTION 'the account % is closed for %', closed, NEW.currency
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_is_open';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER account_is_open BEFORE INSERT ON postings FOR EACH ROW EXECUTE FUNCTION refuse_closed_account();

-- An event without a posting would be money that moved and stands in no account.
CREATE FUNCTION check_has_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM postings WHERE transaction = NEW.sequence) THEN
        RAISE EXCEPTION 'transaction % has no posting', NEW.operation_key
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transaction_has_a_posting';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER transaction_has_a_posting AFTER INSERT ON ledger_transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_has_posting();

-- The row's amounts and the journal can't part: checked when the transaction commits, whichever of them it touched.
CREATE FUNCTION check_amounts_posted() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE CONSTRAINT TRIGGER amounts_are_posted_at_first AFTER INSERT ON payments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.amount_captured <> 0 OR NEW.amount_refunded <> 0) EXECUTE FUNCTION check_amounts_posted();
CREATE CONSTRAINT TRIGGER amounts_are_posted AFTER UPDATE OF amount_captured, amount_refunded ON payments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.amount_captured, NEW.amount_refunded) IS DISTINCT FROM (OLD.amount_captured, OLD.amount_refunded))
    EXECUTE FUNCTION check_amounts_posted();
CREATE CONSTRAINT TRIGGER amounts_are_posted AFTER INSERT ON postings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_amounts_posted();
