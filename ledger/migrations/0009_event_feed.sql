-- The feed: every event has a number without gaps, so that whoever reads them one after another knows that none is missing.
-- Given a moment after the event, by whoever comes first, as the chain's numbers are.

LOCK TABLE payment_events IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE event_feed (
    sequence bigint NOT NULL,
    position bigint NOT NULL,

    CONSTRAINT event_feed_pkey PRIMARY KEY (sequence),
    CONSTRAINT fed_once UNIQUE (position),
    CONSTRAINT fed_event FOREIGN KEY (position) REFERENCES payment_events ON DELETE RESTRICT,
    CONSTRAINT feed_begins_at_one CHECK (sequence >= 1)
);

-- What waits for its number.
CREATE TABLE unfed (
    position bigint NOT NULL,

    CONSTRAINT unfed_pkey PRIMARY KEY (position)
);

CREATE FUNCTION wait_for_feed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unfed (position) VALUES (NEW.position);
    RETURN NULL;
END $$;
CREATE TRIGGER waits_for_its_number AFTER INSERT ON payment_events FOR EACH ROW EXECUTE FUNCTION wait_for_feed();
INSERT INTO unfed (position) SELECT position FROM payment_events;

-- Numbers what waits, at most so many; returns how many, and none while somebody else is at it. A payment's events keep their
-- order: a later one is written when the earlier one is committed, and so is there to be numbered.
CREATE FUNCTION extend_feed(most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    taken bigint[];
BEGIN
    -- Any number that nothing else in this database locks.
    IF NOT pg_try_advisory_xact_lock(7265017243) THEN
        RETURN 0;
    END IF;
    SELECT array_agg(position ORDER BY position) INTO taken
        FROM (SELECT position FROM unfed ORDER BY position LIMIT most) AS first_ones;
    IF taken IS NULL THEN
        RETURN 0;
    END IF;
    INSERT INTO event_feed (sequence, position)
        SELECT (SELECT coalesce(max(sequence), 0) FROM event_feed) + number, position
        FROM unnest(taken) WITH ORDINALITY AS next (position, number);
    DELETE FROM unfed WHERE position = ANY (taken);
    RETURN cardinality(taken);
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON event_feed FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON event_feed EXECUTE FUNCTION refuse_change();
