-- What happened to each payment, in order. Every change of a payment's or a refund's state has its event, written by a
-- trigger in the same transaction: no statement can make the one without the other.

-- In the order in which whoever refunds takes them; held until the past is told, so that none is told twice or not at all.
LOCK TABLE refunds, payments IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE payment_events (
    -- The order of insertion; within a payment also that of time, since whoever changes it or its refunds holds its
    -- row. Not gapless: a transaction that is rolled back leaves a hole.
    position   bigint GENERATED ALWAYS AS IDENTITY,
    payment_id text NOT NULL,
    type       text NOT NULL,
    -- Who caused it.
    actor      text NOT NULL,
    refund_id  text,
    -- The processor's own name for what it did.
    reference  text,
    -- Amounts, codes, operations: a few words for programs. Nothing that a client chose as text, and nothing personal.
    data       jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT payment_events_pkey PRIMARY KEY (position),
    CONSTRAINT event_is_of_payment_or_refund CHECK (split_part(type, '.', 1) IN ('payment', 'refund')),
    CONSTRAINT actor_is_known CHECK (actor IN ('client', 'workflow', 'processor', 'operator')),
    CONSTRAINT refund_event_names_its_refund CHECK (starts_with(type, 'refund.') = (refund_id IS NOT NULL)),
    CONSTRAINT event_data_is_an_object CHECK (jsonb_typeof(data) = 'object')
);

-- How a status is told: by whom, with which reference and which data. An event must never be what keeps a payment from
-- being decided, so whatever stands in the row makes one that the constraints allow.
CREATE FUNCTION actor_of_undoing(undoing jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN undoing->>'by' IN ('client', 'processor', 'operator') THEN undoing->>'by' ELSE 'workflow' END
$$;
-- The parameters are columns, not the row: a row would be copied for each column that is read of it.
CREATE FUNCTION actor_of_status(status text, undoing jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        -- It becomes processing again when the processor says that the customer has confirmed.
        WHEN status IN ('requires_action', 'processing', 'declined') THEN 'processor'
        -- It lapsed at the processor, unless we gave it up before.
        WHEN status = 'expired' AND undoing->>'gives_up' IS DISTINCT FROM 'true' THEN 'processor'
        WHEN status IN ('canceled', 'expired') THEN actor_of_undoing(undoing)
        ELSE 'workflow'
    END
$$;
CREATE FUNCTION reference_of_status(status text, hold_reference text, processor_reference text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN status = 'authorized' THEN hold_reference
        -- Its refunds' own events tell theirs.
        WHEN status NOT IN ('partially_refunded', 'refunded') THEN processor_reference
    END
$$;
CREATE FUNCTION data_of_status(
    status text, authorized bigint, captured bigint, refunded bigint, currency text, code text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN status = 'authorized' THEN jsonb_build_object('amount_authorized', authorized, 'currency', currency)
        WHEN status = 'succeeded' THEN jsonb_build_object('amount_captured', captured, 'currency', currency)
        WHEN status IN ('partially_refunded', 'refunded') THEN
            jsonb_build_object('amount_refunded', refunded, 'currency', currency)
        -- Charged and given back.
        WHEN captured > 0 THEN jsonb_build_object(
            'code', code, 'amount_captured', captured, 'amount_refunded', refunded, 'currency', currency)
        WHEN code IS NOT NULL THEN jsonb_build_object('code', code)
        ELSE '{}'::jsonb
    END
$$;

-- For a row that is inserted OLD is null, so that whatever it says at once is told, too.
CREATE FUNCTION tell_of_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO payment_events (payment_id, type, actor, data) VALUES (NEW.id, 'payment.created', 'client',
            jsonb_build_object('amount', NEW.amount, 'currency', NEW.currency));
    END IF;
    IF NEW.unknown_operation IS NOT NULL AND NEW.unknown_operation IS DISTINCT FROM OLD.unknown_operation THEN
        INSERT INTO payment_events (payment_id, type, actor, data) VALUES (NEW.id, 'payment.outcome_unknown',
            'workflow', jsonb_build_object('operation', NEW.unknown_operation));
    END IF;
    IF NEW.capturing IS NOT NULL AND OLD.capturing IS NULL THEN
        INSERT INTO payment_events (payment_id, type, actor, data) VALUES (NEW.id, 'payment.capture_requested',
            'client', jsonb_strip_nulls(jsonb_build_object('amount', NEW.capturing->'amount', 'currency', NEW.currency)));
    END IF;
    IF NEW.undoing IS NOT NULL AND OLD.undoing IS NULL THEN
        INSERT INTO payment_events (payment_id, type, actor, data) VALUES (NEW.id, 'payment.undoing',
            actor_of_undoing(NEW.undoing), jsonb_strip_nulls(jsonb_build_object(
                'step', NEW.undoing->'step', 'code', NEW.undoing #> '{failure,code}')));
    END IF;
    IF NEW.status IN ('succeeded', 'partially_refunded') AND OLD.status IN ('partially_refunded', 'refunded')
       AND NEW.status <> OLD.status THEN
        -- Not told as a success or a refund: nothing was charged, nothing was given back.
        INSERT INTO payment_events (payment_id, type, actor, data) VALUES (NEW.id, 'payment.refund_reversed',
            'workflow', jsonb_build_object('status', NEW.status, 'amount_refunded', NEW.amount_refunded,
                'currency', NEW.currency));
    ELSIF NEW.status <> coalesce(OLD.status, 'processing') THEN
        INSERT INTO payment_events (payment_id, type, actor, reference, data) VALUES (NEW.id,
            'payment.' || NEW.status, actor_of_status(NEW.status, NEW.undoing),
            reference_of_status(NEW.status, NEW.hold_reference, NEW.processor_reference),
            data_of_status(NEW.status, NEW.amount_authorized, NEW.amount_captured, NEW.amount_refunded, NEW.currency,
                NEW.failure_code));
    END IF;
    IF NEW.late_releases > coalesce(OLD.late_releases, 0) THEN
        INSERT INTO payment_events (payment_id, type, actor) VALUES (NEW.id, 'payment.late_hold_released', 'workflow');
    END IF;
    IF NEW.late_refunds > coalesce(OLD.late_refunds, 0) THEN
        INSERT INTO payment_events (payment_id, type, actor, data) VALUES (NEW.id, 'payment.refunded_again',
            'workflow', jsonb_build_object('amount_refunded', NEW.amount_refunded, 'currency', NEW.currency));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER change_has_its_event_at_first AFTER INSERT ON payments
    FOR EACH ROW EXECUTE FUNCTION tell_of_payment();
-- Any other change, of which there are more, costs a few comparisons.
CREATE TRIGGER change_has_its_event AFTER UPDATE ON payments FOR EACH ROW
    WHEN (NEW.status <> OLD.status
          OR (NEW.unknown_operation IS NOT NULL AND NEW.unknown_operation IS DISTINCT FROM OLD.unknown_operation)
          OR (NEW.capturing IS NOT NULL AND OLD.capturing IS NULL)
          OR (NEW.undoing IS NOT NULL AND OLD.undoing IS NULL)
          OR NEW.late_releases > OLD.late_releases
          OR NEW.late_refunds > OLD.late_refunds)
    EXECUTE FUNCTION tell_of_payment();

CREATE FUNCTION data_of_refund(amount bigint, currency text, code text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    -- No amount in a request that could not be read.
    SELECT jsonb_strip_nulls(jsonb_build_object('amount', nullif(amount, 0), 'currency', currency, 'code', code))
$$;
CREATE FUNCTION tell_of_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.status = 'failed' THEN
        INSERT INTO payment_events (payment_id, type, actor, refund_id, data) VALUES (NEW.payment_id,
            'refund.refused', 'workflow', NEW.id,
            data_of_refund(NEW.amount, NEW.currency, NEW.failure_code) || jsonb_build_object('requested_by', NEW.requested_by));
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO payment_events (payment_id, type, actor, refund_id, data) VALUES (NEW.payment_id,
            'refund.created', NEW.requested_by, NEW.id, data_of_refund(NEW.amount, NEW.currency, NEW.failure_code));
    END IF;
    IF NEW.unknown_since IS NOT NULL AND OLD.unknown_since IS NULL THEN
        INSERT INTO payment_events (payment_id, type, actor, refund_id) VALUES (NEW.payment_id,
            'refund.outcome_unknown', 'workflow', NEW.id);
    END IF;
    IF NEW.status <> coalesce(OLD.status, 'pending') THEN
        INSERT INTO payment_events (payment_id, type, actor, refund_id, reference, data) VALUES (NEW.payment_id,
            CASE WHEN OLD.status = 'succeeded' THEN 'refund.reversed' ELSE 'refund.' || NEW.status END, 'processor',
            NEW.id, NEW.processor_reference, data_of_refund(NEW.amount, NEW.currency, NEW.failure_code));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER change_has_its_event_at_first AFTER INSERT ON refunds FOR EACH ROW EXECUTE FUNCTION tell_of_refund();
CREATE TRIGGER change_has_its_event AFTER UPDATE ON refunds FOR EACH ROW
    WHEN (NEW.status <> OLD.status OR (NEW.unknown_since IS NOT NULL AND OLD.unknown_since IS NULL))
    EXECUTE FUNCTION tell_of_refund();

-- What is older than this table, as far as the rows tell: that it began, and how it stands.
INSERT INTO payment_events (payment_id, type, actor, refund_id, reference, data, created_at)
SELECT payment_id, type, actor, refund_id, reference, data, at FROM (
    SELECT id AS payment_id, 'payment.created' AS type, 'client' AS actor, NULL AS refund_id, NULL AS reference,
           jsonb_build_object('amount', amount, 'currency', currency) AS data, created_at AS at, 1 AS rank
        FROM payments
    UNION ALL
    SELECT id, 'payment.' || status, actor_of_status(status, undoing), NULL,
           reference_of_status(status, hold_reference, processor_reference),
           data_of_status(status, amount_authorized, amount_captured, amount_refunded, currency, failure_code),
           updated_at, 4
        FROM payments WHERE status <> 'processing'
    UNION ALL
    -- Asked for with these words, the processor never was.
    SELECT payment_id, 'refund.refused', 'workflow', id, NULL,
           data_of_refund(amount, currency, failure_code) || jsonb_build_object('requested_by', requested_by), created_at, 2
        FROM refunds WHERE failure_code IN ('payment_not_refundable', 'refund_exceeds_refundable', 'malformed')
    UNION ALL
    SELECT payment_id, 'refund.created', requested_by, id, NULL, data_of_refund(amount, currency, NULL), created_at, 2
        FROM refunds
        WHERE coalesce(failure_code, '') NOT IN ('payment_not_refundable', 'refund_exceeds_refundable', 'malformed')
    UNION ALL
    -- One that has a reference had succeeded before it failed.
    SELECT payment_id,
           CASE WHEN status = 'failed' AND processor_reference IS NOT NULL THEN 'refund.reversed'
                ELSE 'refund.' || status END,
           'processor', id, processor_reference, data_of_refund(amount, currency, failure_code), updated_at, 3
        FROM refunds
        WHERE status <> 'pending'
          AND coalesce(failure_code, '') NOT IN ('payment_not_refundable', 'refund_exceeds_refundable', 'malformed')
) AS past ORDER BY at, rank;

CREATE INDEX events_of_payment ON payment_events (payment_id, position);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payment_events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON payment_events EXECUTE FUNCTION refuse_change();

-- Nobody can tell what did not happen. It also stands in for a foreign key to payments, which would look up and lock the
-- payment's row once more for each event: triggers speak of the row that they are fired for, and none is ever deleted.
CREATE FUNCTION refuse_invention() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are written by what they tell of, not by hand'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'written_by_the_change';
END $$;
CREATE TRIGGER written_by_the_change BEFORE INSERT ON payment_events
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_invention();
