"""The service's own role in the database: it can add to the books, and neither change nor remove what stands there."""

import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from ledger.connections import APPLICATION_ROLE, open_pool
from ledger.migrate import migrate
from ledger.port import LedgerUnavailable
from ledger.postgres import PostgresLedger
from paysaga.dev.ports import free_port
from paysaga.dev.postgres import EmbeddedPostgres
from paysaga.dev.services import ApiProcess, WorkerProcess
from tests.contract import test_ledger_chain
from tests.contract.ledger_words import Books, a_refund, refunded, succeeded
from tests.contract.test_ledger_chain import findings
from tests.harness import Servers, Stack, new_key, open_servers, running
from tests.integration.ledger_rows import Connection

books, dsn = test_ledger_chain.books, test_ledger_chain.dsn

BOOKS = ["ledger_transactions", "postings", "history", "payment_events", "ledger_chain", "event_feed"]
# Beside SELECT. What is changed in some columns only is written in small letters.
ALLOWED: dict[str, set[str]] = {
    **{table: {"INSERT"} for table in BOOKS},
    "accounts": {"insert"},
    "account_totals": {"INSERT", "update"},
    "payments": {"INSERT", "update"},
    "reconciliation_cases": {"INSERT", "update"},
    "reconciliations": {"INSERT", "update"},
    "refunds": {"INSERT", "update"},
    "schema_migrations": set(),
    "settlement_items": {"INSERT", "DELETE"},
    "unchained": {"INSERT", "DELETE"},
    "unfed": {"INSERT", "DELETE"},
    "webhook_attempts": {"INSERT"},
    "webhook_deliveries": {"INSERT", "update"},
    "webhook_endpoints": {"INSERT", "update"},
    "webhook_events": {"INSERT", "update"},
    "webhook_secrets": {"INSERT", "update"},
    # Views.
    "balances": set(),
    "entries": set(),
    "movements": set(),
    "unexplained": set(),
}
RULE = "the role of the application may do what the service needs and no more"


@pytest_asyncio.fixture
async def application(servers: Servers) -> AsyncGenerator[Connection]:
    """A connection of the service."""
    pool = await open_pool(servers.postgres.dsn, 1)
    async with pool.acquire() as connection:
        yield connection
    await pool.close()


@pytest_asyncio.fixture
async def login(dsn: str) -> AsyncGenerator[str]:
    """The address of the same database for a login that is a member of the role and nothing else."""
    name, password = f"service_{secrets.token_hex(4)}", secrets.token_hex(8)
    owner = await asyncpg.connect(dsn)
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {APPLICATION_ROLE}")
    yield f"postgresql://{name}:{password}@{dsn.rpartition('@')[2]}"
    await owner.execute(f"DROP ROLE {name}")
    await owner.close()


async def test_role_may_do_with_each_table_what_is_listed_and_nothing_else(application: Connection) -> None:
    """A new table stands in grants.sql and here, or the service can't use it."""
    rows = await application.fetch(
        """
        SELECT relname, may, has_table_privilege(c.oid, may) AS whole
        FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER',
            'MAINTAIN']) AS may
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
          AND (has_table_privilege(c.oid, may)
               OR may IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(c.oid, may))
        """
    )
    found: dict[str, set[str]] = {}
    for relation, may, whole in rows:
        found.setdefault(relation, set()).add(may if whole else may.lower())
    assert found == {relation: {"SELECT", *may} for relation, may in ALLOWED.items()}


@pytest.mark.parametrize("table", BOOKS)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET {} = NULL",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "DROP TABLE {}",
        "DROP TRIGGER append_only ON {}",
        "CREATE TRIGGER mine BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    ],
)
async def test_what_stands_in_the_books_is_out_of_its_reach(
    application: Connection, table: str, statement: str
) -> None:
    column = await application.fetchval(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum = 2", table
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute(statement.format(table, column))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM payments",
        "DELETE FROM refunds",
        "TRUNCATE payments CASCADE",
        "UPDATE payments SET amount = 1",
        "UPDATE payments SET request = '{}'",
        "UPDATE refunds SET amount = 1",
        "UPDATE webhook_events SET payment_id = 'x'",
        "UPDATE accounts SET closed_at = NULL",
        "INSERT INTO accounts (name, currency, closed_at) VALUES ('sales', 'XTS', now())",
        "DELETE FROM schema_migrations",
        "DELETE FROM account_totals",
        "CREATE TABLE public.mine ()",
        "CREATE TEMPORARY TABLE accounts (name text)",
        "CREATE SCHEMA mine",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "SET session_replication_role = replica",
        "ALTER ROLE paysaga_application SUPERUSER",
    ],
)
async def test_rules_and_what_was_said_are_out_of_its_reach(application: Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute(statement)


@pytest.mark.parametrize("reset", ["RESET ROLE", "RESET ALL", "DISCARD ALL", "SET SESSION AUTHORIZATION DEFAULT"])
async def test_connection_that_is_reset_and_used_again_still_has_the_role(servers: Servers, reset: str) -> None:
    pool = await open_pool(servers.postgres.dsn, 1)
    async with pool.acquire() as connection:
        first = connection.get_server_pid()
        await connection.execute(reset)
    async with pool.acquire() as connection:
        assert connection.get_server_pid() == first
        assert await connection.fetchval("SELECT current_user") == APPLICATION_ROLE
    await pool.close()


async def test_login_that_is_a_member_of_the_role_and_nothing_else_does_all_that_the_service_does(login: str) -> None:
    pool = await open_pool(login, 2)
    books = Books(PostgresLedger(pool), pool)
    key = await books.claimed(order_id=new_key("order"))
    await books.ledger.decide(succeeded(key))
    await books.ledger.reserve_refund(a_refund(key, "r", 10))
    await books.ledger.end_refund(key, "r", refunded(key, "r", 10))
    await books.ledger.extend_chain()
    await books.ledger.extend_feed()
    await pool.close()
    # And `paysaga verify`, without taking the role.
    broken, head = await findings(login)
    assert broken == {}
    assert head.number > 0


def run_command(command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "paysaga", command]
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)


async def test_service_runs_with_such_a_login_and_is_migrated_by_the_owner(tmp_path: Path) -> None:
    async with open_servers(tmp_path) as servers:
        owner = await asyncpg.connect(servers.postgres.dsn)
        await owner.execute(f"CREATE ROLE service LOGIN PASSWORD 'x' IN ROLE {APPLICATION_ROLE}")
        await owner.close()
        login = f"postgresql://service:x@{servers.postgres.dsn.rpartition('@')[2]}"
        env = servers.env(PAYSAGA_DATABASE_URL=login, PAYSAGA_MIGRATION_DATABASE_URL=servers.postgres.dsn)
        process = ApiProcess(env, servers.api_port, log=tmp_path / "api.log", with_worker=True)
        async with running(process, hurry=True):
            stack = Stack(servers, WorkerProcess(env, log=tmp_path / "none.log"), process)
            paid = await stack.pay(key := new_key())
            refund = await stack.refund(key, "r", amount=10)
            balances = await stack.http.get("/v1/balances")
            await stack.close()
        assert (paid.json()["status"], refund.json()["status"]) == ("succeeded", "succeeded")
        assert balances.status_code == 200
        for command in ("migrate", "verify"):
            done = run_command(command, env)
            assert done.returncode == 0, done.stdout + done.stderr


async def test_role_that_is_missing_or_not_ours_is_an_outage_and_no_refusal(
    servers: Servers, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal of the books would undo a charge."""
    for role, dsn, words in (
        ("nobody_at_all", servers.postgres.dsn, "nobody_at_all"),
        ("pg_monitor", login, "permission denied"),
    ):
        monkeypatch.setattr("ledger.connections.APPLICATION_ROLE", role)
        pool = await open_pool(dsn, 1)
        with pytest.raises(LedgerUnavailable, match=words):
            await PostgresLedger(pool).find("a-key")
        await pool.close()


MORE: dict[str, str] = {
    "GRANT UPDATE ON postings TO paysaga_application": "paysaga_application may UPDATE postings",
    "GRANT UPDATE (amount) ON postings TO PUBLIC": "paysaga_application may UPDATE of columns postings",
    "GRANT UPDATE ON payments TO paysaga_application": "paysaga_application may UPDATE payments",
    "GRANT DELETE ON refunds TO paysaga_application": "paysaga_application may DELETE refunds",
    "GRANT TRIGGER ON history TO paysaga_application": "paysaga_application may TRIGGER history",
    "GRANT INSERT ON schema_migrations TO PUBLIC": "paysaga_application may INSERT schema_migrations",
    "GRANT CREATE ON SCHEMA public TO PUBLIC": "paysaga_application may create tables",
    "ALTER TABLE event_feed OWNER TO paysaga_application": "paysaga_application may UPDATE event_feed",
}


@pytest.mark.parametrize("statement", MORE)
async def test_verify_says_what_it_may_do_more_and_migrate_takes_it_back(
    books: Books, dsn: str, statement: str
) -> None:
    await books.by_hand(statement)
    broken, _ = await findings(dsn)
    assert broken == {RULE: MORE[statement]}
    if "PUBLIC" not in statement and "OWNER" not in statement:
        owner = await asyncpg.connect(dsn)
        assert await migrate(owner) == []
        await owner.close()
        assert (await findings(dsn))[0] == {}


async def test_whoever_may_not_make_the_role_is_told_what_an_administrator_runs(
    servers: Servers, tmp_path: Path
) -> None:
    """On a server of its own: roles belong to servers, and this one must not have it."""
    server = EmbeddedPostgres(tmp_path, free_port())
    async with running(server, hurry=True):
        admin = await asyncpg.connect(server.admin_dsn)
        await admin.execute("CREATE ROLE shop LOGIN PASSWORD 'x'")
        await admin.execute("CREATE DATABASE shop OWNER shop")
        address = f"postgresql://shop:x@{server.admin_dsn.rpartition('@')[2].rpartition('/')[0]}/shop"
        told = run_command("migrate", servers.env(PAYSAGA_DATABASE_URL=address))
        assert told.returncode == 1
        assert "Traceback" not in told.stderr
        statements = told.stderr.partition("Let an administrator of the server run: ")[2]
        await admin.execute(statements)
        await admin.close()
        done = run_command("migrate", servers.env(PAYSAGA_DATABASE_URL=address))
        assert done.returncode == 0, done.stderr
        pool = await open_pool(address, 1)
        assert await PostgresLedger(pool).find("a-key") is None
        await pool.close()
