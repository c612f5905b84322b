-- The chain: every movement in the books has a number without gaps, and a hash over itself and the one before it. Whoever
-- knows the last hash notices any later change of what stood before. And the totals of each account at the chain's end, so
-- that a balance doesn't add up the whole journal.
--
-- Given a moment after the movement, by whoever comes first, never by a payment: payments don't wait for one another.

LOCK TABLE ledger_transactions, postings IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE ledger_chain (
    number      bigint NOT NULL,
    transaction bigint NOT NULL,
    hash        bytea NOT NULL,

    CONSTRAINT ledger_chain_pkey PRIMARY KEY (number),
    CONSTRAINT chained_once UNIQUE (transaction),
    CONSTRAINT chained_transaction FOREIGN KEY (transaction) REFERENCES ledger_transactions ON DELETE RESTRICT,
    CONSTRAINT chain_begins_at_one CHECK (number >= 1),
    CONSTRAINT hash_is_sha256 CHECK (octet_length(hash) = 32)
);

-- What waits for its number.
CREATE TABLE unchained (
    transaction bigint NOT NULL,

    CONSTRAINT unchained_pkey PRIMARY KEY (transaction)
);

CREATE TABLE account_totals (
    account  text NOT NULL,
    currency text NOT NULL,
    debits   numeric NOT NULL,
    credits  numeric NOT NULL,

    CONSTRAINT account_totals_pkey PRIMARY KEY (account, currency),
    CONSTRAINT totals_are_not_negative CHECK (debits >= 0 AND credits >= 0)
);

CREATE FUNCTION wait_for_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unchained (transaction) VALUES (NEW.sequence);
    RETURN NULL;
END $$;
CREATE TRIGGER waits_for_its_number AFTER INSERT ON ledger_transactions
    FOR EACH ROW EXECUTE FUNCTION wait_for_number();
INSERT INTO unchained (transaction) SELECT sequence FROM ledger_transactions;

-- What is hashed of a movement: everything that stands in it and in its postings, as one line of JSON.
CREATE FUNCTION chained_text(of_transaction bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_array(t.sequence, t.operation_key, t.payment_id, t.operation, t.processor, t.processor_reference,
        to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        (SELECT jsonb_agg(jsonb_build_array(p.sequence, p.debit_account, p.credit_account, p.amount, p.currency)
                ORDER BY p.sequence)
            FROM postings p WHERE p.transaction = t.sequence))::text
    FROM ledger_transactions t WHERE t.sequence = of_transaction
$$;

-- Numbers what waits, at most so many; returns how many, and none while somebody else is at it. Of one payment, what came
-- first waits first: its later movements are written when the earlier ones are committed.
CREATE FUNCTION extend_chain(most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    taken bigint[];
    next bigint;
    last_number bigint;
    last_hash bytea;
BEGIN
    -- Any number that nothing else in this database locks.
    IF NOT pg_try_advisory_xact_lock(7265017242) THEN
        RETURN 0;
    END IF;
    SELECT array_agg(transaction ORDER BY transaction) INTO taken
        FROM (SELECT transaction FROM unchained ORDER BY transaction LIMIT most) AS first_ones;
    IF taken IS NULL THEN
        RETURN 0;
    END IF;
    SELECT number, hash INTO last_number, last_hash FROM ledger_chain ORDER BY number DESC LIMIT 1;
    last_number := coalesce(last_number, 0);
    -- The first has nothing before it: the hash of nothing.
    last_hash := coalesce(last_hash, sha256(''));
    FOREACH next IN ARRAY taken LOOP
        last_number := last_number + 1;
        last_hash := sha256(last_hash || convert_to(last_number || ' ' || chained_text(next), 'UTF8'));
        INSERT INTO ledger_chain (number, transaction, hash) VALUES (last_number, next, last_hash);
    END LOOP;
    INSERT INTO account_totals AS t (account, currency, debits, credits)
        SELECT account, currency, coalesce(sum(amount) FILTER (WHERE amount > 0), 0),
               coalesce(sum(-amount) FILTER (WHERE amount < 0), 0)
        FROM entries WHERE transaction = ANY (taken) GROUP BY account, currency
        ON CONFLICT (account, currency) DO UPDATE
        SET debits = t.debits + excluded.debits, credits = t.credits + excluded.credits;
    DELETE FROM unchained WHERE transaction = ANY (taken);
    RETURN cardinality(taken);
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_chain FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON ledger_chain EXECUTE FUNCTION refuse_change();
