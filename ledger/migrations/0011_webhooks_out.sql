-- Webhooks that we send. A reader of the feed as any other: nothing of this is written by a payment.

CREATE TABLE webhook_endpoints (
    id              text NOT NULL,
    url             text NOT NULL,
    description     text,
    -- The types that it wants; NULL for all.
    events          text[],
    status          text NOT NULL DEFAULT 'enabled',
    disabled_reason text,
    status_since    timestamptz NOT NULL DEFAULT now(),
    -- The feed's number up to which there are deliveries.
    reached         bigint NOT NULL,
    -- Since when nothing has succeeded, how many deliveries have failed since then, and, when those are so many that
    -- the endpoint must be down, when the next one is tried.
    failing_since   timestamptz,
    failing         integer NOT NULL DEFAULT 0,
    probe_at        timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    deleted_at      timestamptz,

    CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_endpoint_status_is_known CHECK (status IN ('enabled', 'disabled')),
    CONSTRAINT webhook_endpoint_says_why_it_is_disabled CHECK ((status = 'disabled') = (disabled_reason IS NOT NULL)),
    CONSTRAINT webhook_endpoint_is_down_only_if_it_fails CHECK (failing_since IS NOT NULL OR (failing = 0 AND probe_at IS NULL))
);
CREATE INDEX webhook_endpoints_there ON webhook_endpoints (created_at, id) WHERE deleted_at IS NULL;

-- What has been passed was written into deliveries; going back would send it twice, jumping forward would lose some.
CREATE FUNCTION keep_webhook_progress() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.reached < OLD.reached OR OLD.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION 'endpoint % does not go back', OLD.id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'webhook_endpoint_never_goes_back';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER webhook_endpoint_never_goes_back BEFORE UPDATE ON webhook_endpoints
    FOR EACH ROW EXECUTE FUNCTION keep_webhook_progress();

CREATE TABLE webhook_secrets (
    number      bigint GENERATED ALWAYS AS IDENTITY,
    endpoint    text NOT NULL,
    secret      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,

    CONSTRAINT webhook_secrets_pkey PRIMARY KEY (endpoint, number),
    CONSTRAINT webhook_secret_of_endpoint FOREIGN KEY (endpoint) REFERENCES webhook_endpoints ON DELETE RESTRICT,
    CONSTRAINT webhook_secret_is_long_enough CHECK (secret ~ '^whsec_[A-Za-z0-9+/=]{32,}$')
);

CREATE TABLE webhook_deliveries (
    endpoint        text NOT NULL,
    sequence        bigint NOT NULL,
    payment_id      text NOT NULL,
    status          text NOT NULL DEFAULT 'pending',
    -- Its place in the schedule, which stands still while the endpoint is down; and how often it was sent.
    tries           integer NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    -- NULL: it has ended, or waits until an earlier event of its payment has.
    next_attempt_at timestamptz,
    last_attempt_at timestamptz,
    failing_since   timestamptz,
    -- It was tried before its time because the endpoint had come back.
    hurried         boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,

    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (endpoint, sequence),
    CONSTRAINT webhook_delivery_to_endpoint FOREIGN KEY (endpoint) REFERENCES webhook_endpoints ON DELETE RESTRICT,
    CONSTRAINT webhook_delivery_of_event FOREIGN KEY (sequence) REFERENCES event_feed ON DELETE RESTRICT,
    CONSTRAINT webhook_delivery_status_is_known CHECK (status IN ('pending', 'succeeded', 'failed')),
    CONSTRAINT webhook_delivery_waits_until_it_ends CHECK (
        (status = 'pending') = (ended_at IS NULL) AND (status = 'pending' OR next_attempt_at IS NULL))
);
-- What keeps a payment's events in order: of those that wait, one may be sent.
CREATE UNIQUE INDEX webhook_one_of_a_payment_at_a_time ON webhook_deliveries (endpoint, payment_id)
    WHERE next_attempt_at IS NOT NULL;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, next_attempt_at, sequence)
    WHERE next_attempt_at IS NOT NULL;
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (endpoint, payment_id, sequence) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_by_status ON webhook_deliveries (endpoint, status, sequence);

CREATE TABLE webhook_attempts (
    endpoint        text NOT NULL,
    sequence        bigint NOT NULL,
    number          integer NOT NULL,
    at              timestamptz NOT NULL,
    duration_ms     integer NOT NULL,
    response_status integer,
    response_body   text,
    error           text,

    CONSTRAINT webhook_attempts_pkey PRIMARY KEY (endpoint, sequence, number),
    CONSTRAINT webhook_attempt_of_delivery FOREIGN KEY (endpoint, sequence) REFERENCES webhook_deliveries ON DELETE RESTRICT
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON webhook_attempts FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON webhook_attempts EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_forgotten BEFORE DELETE ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_forgotten_truncate BEFORE TRUNCATE ON webhook_deliveries EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_forgotten BEFORE DELETE ON webhook_endpoints FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_forgotten_truncate BEFORE TRUNCATE ON webhook_endpoints EXECUTE FUNCTION refuse_change();
