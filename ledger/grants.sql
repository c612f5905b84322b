-- Everything that the application's own role may do. `paysaga migrate` applies it whole, each time after the migrations, so
-- that nothing else stays granted and a restored database has it again. A new table stands here, or the service can't use
-- it; what the role may change or delete stands in invariants.sql, too, by which `paysaga verify` notices anything more.

-- Roles belong to the server, not to a database: another one may have made it.
DO $$
BEGIN
    IF to_regrole('paysaga_application') IS NULL THEN
        CREATE ROLE paysaga_application NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- at this moment
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'there is no role paysaga_application, and % may not make it', current_user
            USING ERRCODE = 'insufficient_privilege', HINT = format('Let an administrator of the server run: '
                'CREATE ROLE paysaga_application NOLOGIN; GRANT paysaga_application TO %I;', current_user);
END $$;

-- Where one login does everything, its connections take this role. Where the service has a login of its own, whoever
-- migrates needn't be a member.
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'paysaga_application', 'SET') THEN
        EXECUTE format('GRANT paysaga_application TO %I', current_user);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$;

-- No tables of its own: the rules would read a temporary one in place of the ledger's of the same name.
DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO paysaga_application', current_database());
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO paysaga_application;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM paysaga_application;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO paysaga_application;

-- What is said once and for all.
GRANT INSERT ON ledger_transactions, postings, history, payment_events, ledger_chain, event_feed TO paysaga_application;
-- What waits for its number.
GRANT INSERT, DELETE ON unchained, unfed TO paysaga_application;
GRANT INSERT, UPDATE (debits, credits) ON account_totals TO paysaga_application;
-- Finance closes accounts and opens them again.
GRANT INSERT (name, currency) ON accounts TO paysaga_application;

GRANT INSERT, UPDATE (
    status, amount_authorized, amount_captured, amount_refunded, amount_refunding, order_freed, processor_reference,
    failure_code, failure_message, conflicted, unknown_operation, unknown_since, unknown_next_check, undoing, answer,
    hold_reference, hold_expires_at, capturing, next_action, action_ended_at, late_releases, late_refunds, updated_at
) ON payments TO paysaga_application;
GRANT INSERT, UPDATE (
    status, failure_code, failure_message, processor_reference, unknown_since, unknown_next_check, updated_at
) ON refunds TO paysaga_application;
GRANT INSERT, UPDATE (next_delivery_at, delivered_at, outcome) ON webhook_events TO paysaga_application;

-- A case of reconciliation is ended once; the processor's lines are there as long as their run.
GRANT INSERT, UPDATE (lines, report) ON reconciliations TO paysaga_application;
GRANT INSERT, UPDATE (status, resolved_at, reason) ON reconciliation_cases TO paysaga_application;
GRANT INSERT, DELETE ON settlement_items TO paysaga_application;

GRANT INSERT, UPDATE (
    url, description, events, status, disabled_reason, failing_since, failing, probe_at, status_since, updated_at, deleted_at, reached
) ON webhook_endpoints TO paysaga_application;
GRANT INSERT, UPDATE (expires_at) ON webhook_secrets TO paysaga_application;
GRANT INSERT, UPDATE (
    status, attempts, tries, next_attempt_at, last_attempt_at, failing_since, hurried, ended_at
) ON webhook_deliveries TO paysaga_application;
GRANT INSERT ON webhook_attempts TO paysaga_application;
