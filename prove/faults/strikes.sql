-- Makes the database fail at a chosen payment: what stands in `campaign.strikes` is reported once, by the next row of
-- this payment that is written into that table. Sequences count even in a transaction that is rolled back.
CREATE SCHEMA IF NOT EXISTS campaign;
CREATE SEQUENCE IF NOT EXISTS campaign.strike_numbers;
CREATE TABLE IF NOT EXISTS campaign.strikes (
    payment_id text PRIMARY KEY,
    table_name text NOT NULL,
    state      text NOT NULL,
    counter    text NOT NULL
);

CREATE OR REPLACE FUNCTION campaign.strike() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    due  campaign.strikes;
    hits bigint;
BEGIN
    SELECT * INTO due FROM campaign.strikes s
    WHERE s.payment_id = coalesce(to_jsonb(NEW) ->> 'payment_id', to_jsonb(NEW) ->> 'id') AND s.table_name = TG_TABLE_NAME;
    IF FOUND THEN
        hits := nextval(due.counter);
        IF hits = 1 AND due.state = '57P01' THEN
            -- Not only said: the session ends here. The function runs as the database's owner, who may end any.
            PERFORM pg_terminate_backend(pg_backend_pid());
        ELSIF hits = 1 THEN
            RAISE EXCEPTION 'struck by the campaign' USING ERRCODE = due.state;
        END IF;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER struck BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION campaign.strike();
CREATE OR REPLACE TRIGGER struck BEFORE INSERT ON ledger_transactions FOR EACH ROW EXECUTE FUNCTION campaign.strike();
CREATE OR REPLACE TRIGGER struck BEFORE INSERT ON refunds FOR EACH ROW EXECUTE FUNCTION campaign.strike();
