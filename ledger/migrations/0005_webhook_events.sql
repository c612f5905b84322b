-- What processors tell us unasked. Each event is written down once before it is answered; then its payment is told to ask
-- the processor. Its body isn't kept: nobody believes it, and it may hold personal data.
CREATE TABLE webhook_events (
    processor        text NOT NULL,
    id               text NOT NULL,
    type             text NOT NULL,
    -- What it is about, as the processor's adapter says.
    concerns         text NOT NULL,
    -- As the processor says: no foreign key, since there may be no such payment.
    payment_id       text NOT NULL,
    received_at      timestamptz NOT NULL DEFAULT now(),
    -- Whoever delivers it has so long; then another one does.
    next_delivery_at timestamptz NOT NULL DEFAULT now(),
    delivered_at     timestamptz,
    outcome          text,

    CONSTRAINT webhook_events_pkey PRIMARY KEY (processor, id),
    CONSTRAINT webhook_event_is_plain CHECK (
        id ~ '^[!-~]{1,255}$' AND type ~ '^[!-~]{1,100}$' AND payment_id ~ '^[ -~]{1,255}$'),
    CONSTRAINT webhook_concern_is_known CHECK (concerns IN ('authorization', 'refund', 'other')),
    CONSTRAINT webhook_outcome_is_known CHECK (outcome IN ('delivered', 'ignored')),
    CONSTRAINT webhook_outcome_has_a_time CHECK ((delivered_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX webhook_events_undelivered ON webhook_events (next_delivery_at) WHERE delivered_at IS NULL;
-- For people who ask what the processor said of a payment.
CREATE INDEX webhook_events_of_payment ON webhook_events (payment_id);

CREATE TRIGGER never_forgotten BEFORE DELETE ON webhook_events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_forgotten_truncate BEFORE TRUNCATE ON webhook_events EXECUTE FUNCTION refuse_change();

-- What came stays as it came, and is delivered once.
CREATE FUNCTION keep_webhook_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.processor, NEW.id, NEW.type, NEW.concerns, NEW.payment_id, NEW.received_at)
       IS DISTINCT FROM
       (OLD.processor, OLD.id, OLD.type, OLD.concerns, OLD.payment_id, OLD.received_at)
       OR (OLD.delivered_at IS NOT NULL
           AND (NEW.delivered_at, NEW.outcome) IS DISTINCT FROM (OLD.delivered_at, OLD.outcome)) THEN
        RAISE EXCEPTION 'event % of % is fixed', OLD.id, OLD.processor
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'webhook_event_is_fixed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER webhook_event_is_fixed BEFORE UPDATE ON webhook_events
    FOR EACH ROW EXECUTE FUNCTION keep_webhook_event();
