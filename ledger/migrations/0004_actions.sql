-- Payments whose customer must confirm with the bank first.

-- What the client needs for it. It stays as evidence when it is over.
ALTER TABLE payments ADD COLUMN next_action jsonb;
ALTER TABLE payments ADD COLUMN action_ended_at timestamptz;
-- Holds that appeared at the processor after the payment had ended, and were released: a customer who confirmed too late.
ALTER TABLE payments ADD COLUMN late_releases integer NOT NULL DEFAULT 0;

ALTER TABLE payments ADD CONSTRAINT requires_action_says_which CHECK (
    status <> 'requires_action' OR (next_action IS NOT NULL AND action_ended_at IS NULL));
ALTER TABLE payments ADD CONSTRAINT only_an_action_ends CHECK (action_ended_at IS NULL OR next_action IS NOT NULL);
-- Refunds of an undone charge that failed at the processor after it had confirmed them, and were made again.
ALTER TABLE payments ADD COLUMN late_refunds integer NOT NULL DEFAULT 0;

ALTER TABLE payments ADD CONSTRAINT late_releases_are_counted CHECK (late_releases >= 0);
ALTER TABLE payments ADD CONSTRAINT late_refunds_are_counted CHECK (late_refunds >= 0);
