-- Holds that wait for their capture.

ALTER TABLE payments ADD COLUMN hold_reference text;
-- When the processor lets the hold lapse, if it says so.
ALTER TABLE payments ADD COLUMN hold_expires_at timestamptz;
-- The capture that was asked for first: key, fingerprint, amount. Written before the processor is asked, so that a later
-- run goes on capturing the same amount instead of releasing the hold.
ALTER TABLE payments ADD COLUMN capturing jsonb;

ALTER TABLE payments DROP CONSTRAINT succeeded_means_charged;
ALTER TABLE payments ADD CONSTRAINT succeeded_means_charged CHECK (
    status <> 'succeeded'
    OR (amount_captured > 0 AND amount_captured <= amount AND (amount_captured = amount OR capturing IS NOT NULL)
        AND amount_refunded = 0 AND NOT conflicted));
ALTER TABLE payments ADD CONSTRAINT authorized_means_held CHECK (
    status <> 'authorized' OR (amount_authorized > 0 AND amount_captured = 0 AND hold_reference IS NOT NULL));
ALTER TABLE payments ADD CONSTRAINT only_a_hold_is_captured CHECK (capturing IS NULL OR hold_reference IS NOT NULL);
ALTER TABLE payments ADD CONSTRAINT captured_is_not_canceled CHECK (capturing IS NULL OR status <> 'canceled');
ALTER TABLE payments DROP CONSTRAINT decided_means_known;
ALTER TABLE payments ADD CONSTRAINT decided_means_known CHECK (
    unknown_operation IS NULL OR status IN ('processing', 'requires_action', 'authorized'));
-- A hold that is being released is still authorized until it is.
ALTER TABLE payments DROP CONSTRAINT undone_never_succeeds;
ALTER TABLE payments ADD CONSTRAINT undone_never_succeeds CHECK (
    undoing IS NULL OR status NOT IN ('succeeded', 'partially_refunded', 'refunded'));

CREATE FUNCTION keep_capture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the capture of payment % is fixed', OLD.id
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'capture_is_fixed';
END $$;
CREATE TRIGGER capture_is_fixed BEFORE UPDATE OF capturing ON payments FOR EACH ROW
    WHEN (OLD.capturing IS NOT NULL AND NEW.capturing IS DISTINCT FROM OLD.capturing) EXECUTE FUNCTION keep_capture();
