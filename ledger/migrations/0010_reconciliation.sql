-- Reconciliation: what a processor says has moved, against what the books say.

-- One row for each run. Its name is also that of the workflow that runs it.
CREATE TABLE reconciliations (
    id          text NOT NULL,
    source      text NOT NULL,
    processor   text NOT NULL,
    period_from timestamptz NOT NULL,
    period_to   timestamptz NOT NULL,
    -- How many lines were taken from a file before the run began; null for those that ask the processor.
    lines       bigint,
    report      jsonb,
    created_at  timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT reconciliations_pkey PRIMARY KEY (id),
    CONSTRAINT source_is_known CHECK (source IN ('record', 'file')),
    CONSTRAINT period_has_a_length CHECK (period_from < period_to)
);

CREATE INDEX reconciliations_reported ON reconciliations (source, period_to) WHERE report IS NOT NULL;

-- The processor's side of the runs that are going on; a run takes its lines away when it ends.
CREATE TABLE settlement_items (
    reconciliation text NOT NULL,
    operation      text NOT NULL,
    reference      text NOT NULL,
    payment_id     text,
    amount         bigint NOT NULL,
    currency       text NOT NULL,
    executed_at    timestamptz,
    operation_key  text,
    state          text,
    line           bigint NOT NULL,
    -- Asked for one by one because of the books: it matches, but the run is not about it.
    looked_up      boolean NOT NULL DEFAULT false,

    CONSTRAINT item_of_reconciliation FOREIGN KEY (reconciliation) REFERENCES reconciliations (id) ON DELETE RESTRICT,
    CONSTRAINT item_operation_is_known CHECK (
        operation IN ('capture', 'refund', 'refund_reversal', 'hold', 'workflow')),
    CONSTRAINT item_moves_something CHECK (amount > 0 OR operation = 'workflow')
);
CREATE INDEX items_of_reconciliation ON settlement_items (reconciliation, operation, reference);

-- A difference that did not heal by itself. Nobody but an operator with a reason, or both sides' agreement, ends it.
CREATE TABLE reconciliation_cases (
    number         bigint GENERATED ALWAYS AS IDENTITY,
    reconciliation text NOT NULL,
    difference     text NOT NULL,
    status         text NOT NULL DEFAULT 'open',
    source         text NOT NULL,
    processor      text NOT NULL,
    operation      text NOT NULL,
    reference      text NOT NULL,
    payment_id     text,
    amount_here    bigint,
    currency_here  text,
    amount_there   bigint,
    currency_there text,
    happened_at    timestamptz NOT NULL,
    evidence       jsonb NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    resolved_at    timestamptz,
    reason         text,

    CONSTRAINT reconciliation_cases_pkey PRIMARY KEY (number),
    CONSTRAINT case_of_reconciliation FOREIGN KEY (reconciliation) REFERENCES reconciliations (id) ON DELETE RESTRICT,
    CONSTRAINT difference_is_known CHECK (difference IN (
        'missing_here', 'missing_there', 'amount_differs', 'currency_differs', 'state_differs', 'duplicate',
        'unexplained')),
    CONSTRAINT case_status_is_known CHECK (status IN ('open', 'closed', 'resolved')),
    CONSTRAINT case_ends_with_a_reason CHECK (
        (status = 'open') = (resolved_at IS NULL) AND (status = 'open') = (reason IS NULL))
);
-- The same difference found again is the same case, also once somebody has said that it is all right. What agreed in
-- between and differs again is another one.
CREATE UNIQUE INDEX case_is_found_once ON reconciliation_cases
    (source, processor, difference, operation, reference, amount_here, currency_here, amount_there, currency_there)
    NULLS NOT DISTINCT WHERE status <> 'closed';
CREATE INDEX cases_by_time ON reconciliation_cases (created_at, number);
CREATE INDEX cases_open ON reconciliation_cases (created_at, number) WHERE status = 'open';

CREATE FUNCTION keep_what_a_case_says() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'open' OR (to_jsonb(NEW) - '{status,resolved_at,reason}'::text[])
            <> (to_jsonb(OLD) - '{status,resolved_at,reason}'::text[]) THEN
        RAISE EXCEPTION 'case % can only be ended, once', OLD.number
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'case_is_only_ended';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER case_is_only_ended BEFORE UPDATE ON reconciliation_cases
    FOR EACH ROW EXECUTE FUNCTION keep_what_a_case_says();
CREATE TRIGGER append_only BEFORE DELETE ON reconciliation_cases FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON reconciliation_cases EXECUTE FUNCTION refuse_change();

-- Movements are looked for by what the processor calls them.
CREATE INDEX transactions_by_reference ON ledger_transactions (processor_reference);
CREATE INDEX transactions_by_time ON ledger_transactions (created_at);
-- Payments that somebody must be at work on.
CREATE INDEX payments_not_done ON payments (id)
    WHERE status IN ('processing', 'requires_action', 'authorized') OR amount_refunding > 0;

-- What moved at the processor, as the books say: positive, of one currency each.
CREATE VIEW movements AS
    SELECT t.sequence, t.operation, t.processor_reference AS reference, t.operation_key, t.payment_id, t.processor,
           p.amount, p.currency, t.created_at
    FROM ledger_transactions t JOIN postings p ON p.transaction = t.sequence
    WHERE t.operation IN ('capture', 'refund', 'refund_reversal')
      AND (starts_with(p.debit_account, 'processor_receivable:') OR starts_with(p.credit_account, 'processor_receivable:'));

-- Everything that a run has to say, also where both sides agree (`difference` is null then). `heals`: the payment's own
-- workflow mends it, if it is told to look.
CREATE FUNCTION compare(run text) RETURNS TABLE (
    difference text, heals boolean, operation text, reference text, payment_id text, amount_here bigint,
    currency_here text, amount_there bigint, currency_there text, happened_at timestamptz, evidence jsonb
) LANGUAGE sql STABLE AS $$
WITH this AS (SELECT * FROM reconciliations WHERE id = run),
-- A report may tell a thing twice: the first time counts, each other time is a duplicate.
told AS (
    SELECT i.*, row_number() OVER (PARTITION BY i.operation, i.reference ORDER BY i.looked_up DESC, i.line) AS times,
           first_value(i.line) OVER (PARTITION BY i.operation, i.reference ORDER BY i.looked_up DESC, i.line) AS first_line
    FROM settlement_items i WHERE i.reconciliation = run
),
there AS (
    SELECT told.*,
           -- Of one payment, which charge this is.
           row_number() OVER (PARTITION BY operation, coalesce(payment_id, reference)
               ORDER BY executed_at NULLS FIRST, reference) AS nth
    FROM told WHERE times = 1 AND operation IN ('capture', 'refund', 'refund_reversal')
),
here AS (
    SELECT m.* FROM movements m, this
        WHERE m.created_at >= this.period_from AND m.created_at < this.period_to AND m.processor = this.processor
    UNION
    SELECT m.* FROM movements m JOIN there ON there.reference = m.reference AND there.operation = m.operation
        JOIN this ON this.processor = m.processor
    UNION
    -- What an earlier run missed at the processor is looked at again.
    SELECT m.* FROM reconciliation_cases c JOIN this ON this.processor = c.processor AND this.source = c.source
        JOIN movements m ON m.reference = c.reference AND m.operation = c.operation AND m.processor = c.processor
        WHERE c.status = 'open' AND c.difference = 'missing_there' AND this.source = 'record'
),
pairs AS (
    SELECT h.sequence, h.operation_key, h.payment_id AS payment_here, h.amount AS amount_here,
           h.currency AS currency_here, h.created_at,
           t.reconciliation, t.payment_id AS payment_there, t.amount AS amount_there, t.currency AS currency_there,
           t.executed_at, t.line, t.nth, t.operation_key AS key_there,
           coalesce(h.operation, t.operation) AS operation, coalesce(h.reference, t.reference) AS reference
    FROM here h FULL JOIN there t ON t.operation = h.operation AND t.reference = h.reference
),
judged AS (
    SELECT pairs.*, p.id AS known, p.status, p.answer IS NOT NULL AS decided, p.amount_refunding,
        -- It came back before the books had it: nothing moved in the end.
        pairs.sequence IS NULL AND pairs.operation <> 'capture' AND count(*) FILTER (
            WHERE pairs.sequence IS NULL AND pairs.operation <> 'capture') OVER (PARTITION BY pairs.reference) = 2 AS undone,
        -- Unless the books' charge is one that the processor doesn't know: then it is about one charge, not two.
        pairs.sequence IS NULL AND pairs.operation = 'capture' AND (nth > 1 OR EXISTS (
            SELECT FROM movements m WHERE m.payment_id = pairs.payment_there AND m.operation = 'capture'
                AND m.reference <> pairs.reference))
            AND count(*) FILTER (WHERE pairs.reconciliation IS NULL AND pairs.operation = 'capture')
                OVER (PARTITION BY coalesce(payment_here, payment_there)) = 0 AS second,
        pairs.sequence IS NULL AND pairs.operation = 'refund_reversal' AND EXISTS (
            SELECT FROM refunds r WHERE r.payment_id = pairs.payment_there AND r.processor_reference = pairs.reference
                AND r.status = 'succeeded') AS came_back
    FROM pairs LEFT JOIN payments p ON p.id = coalesce(pairs.payment_here, pairs.payment_there)
),
money AS (
    SELECT CASE
            WHEN undone THEN NULL
            WHEN reconciliation IS NULL THEN 'missing_there'
            WHEN sequence IS NULL THEN CASE
                WHEN known IS NULL THEN 'unexplained'
                WHEN second THEN 'duplicate'
                WHEN came_back THEN 'state_differs'
                ELSE 'missing_here' END
            WHEN payment_there <> payment_here THEN 'unexplained'
            WHEN currency_there <> currency_here THEN 'currency_differs'
            WHEN amount_there <> amount_here THEN 'amount_differs'
        END AS difference,
        -- Lost here: Temporal may still know it. Undecided, or a refund under way: its workflow asks the processor.
        sequence IS NULL AND NOT undone AND payment_there IS NOT NULL AND (known IS NULL OR CASE operation
            WHEN 'capture' THEN NOT decided OR status = 'authorized'
            WHEN 'refund' THEN amount_refunding > 0 OR NOT decided
            ELSE came_back END) AS heals,
        operation, reference, coalesce(payment_here, payment_there) AS payment_id,
        amount_here, currency_here, amount_there, currency_there,
        coalesce(executed_at, created_at, (SELECT period_from FROM this)) AS happened_at,
        jsonb_strip_nulls(jsonb_build_object(
            'transaction', sequence, 'operation_key', coalesce(operation_key, key_there), 'recorded_at', created_at,
            'executed_at', executed_at, 'line', nullif(line, 0), 'payment_status', status,
            'payment_at_processor', CASE WHEN payment_there <> payment_here THEN payment_there END)) AS evidence
    FROM judged
),
twice AS (
    SELECT 'duplicate', false, operation, reference, payment_id, NULL::bigint, NULL::text, amount, currency,
        coalesce(executed_at, (SELECT period_from FROM this)),
        jsonb_build_object('line', line, 'first_line', first_line)
    FROM told WHERE times > 1 AND NOT looked_up AND operation <> 'hold'
        AND (SELECT source FROM this) = 'file'
),
holds AS (
    SELECT CASE WHEN p.id IS NULL THEN 'unexplained' ELSE 'state_differs' END, true, t.operation, t.reference,
        t.payment_id, NULL::bigint, NULL::text, t.amount, t.currency, t.executed_at,
        jsonb_strip_nulls(jsonb_build_object(
            'hold', t.state, 'payment_status', p.status, 'operation_key', t.operation_key, 'executed_at', t.executed_at))
    FROM told t LEFT JOIN payments p ON p.id = t.payment_id
    WHERE t.operation = 'hold' AND t.times = 1 AND (
        (t.state = 'open' AND (p.id IS NULL OR p.status NOT IN ('processing', 'requires_action', 'authorized')))
        OR (t.state <> 'open' AND p.status = 'authorized' AND p.hold_reference = t.reference))
),
stopped AS (
    SELECT 'state_differs', true, t.operation, t.reference, t.payment_id, NULL::bigint, NULL::text, NULL::bigint,
        p.currency, p.created_at, jsonb_build_object('payment_status', p.status, 'workflow', t.state)
    FROM told t JOIN payments p ON p.id = t.payment_id
    WHERE t.operation = 'workflow' AND t.times = 1
        AND (p.status IN ('processing', 'requires_action', 'authorized') OR p.amount_refunding > 0)
)
SELECT * FROM money UNION ALL SELECT * FROM twice UNION ALL SELECT * FROM holds UNION ALL SELECT * FROM stopped
$$;

-- What open cases put in question. A hold, and a workflow that doesn't run, move nothing.
CREATE VIEW unexplained AS
    SELECT currency, sum(amount)::bigint AS amount FROM (
        SELECT currency_here AS currency, abs(amount_here - amount_there) AS amount FROM reconciliation_cases
            WHERE status = 'open' AND difference = 'amount_differs'
        UNION ALL
        SELECT currency_here, amount_here FROM reconciliation_cases
            WHERE status = 'open' AND difference <> 'amount_differs' AND amount_here IS NOT NULL
        UNION ALL
        SELECT currency_there, amount_there FROM reconciliation_cases
            WHERE status = 'open' AND difference <> 'amount_differs' AND amount_there IS NOT NULL AND operation <> 'hold'
                AND (difference <> 'unexplained' OR amount_here IS NULL)
    ) AS open_cases GROUP BY currency;
