"""`paysaga verify` as finance's auditor runs it."""

import subprocess
import sys

import asyncpg

from paysaga.dev.ports import HOST, free_port
from tests.contract import test_ledger_chain
from tests.contract.ledger_words import Books
from tests.contract.test_ledger_chain import paid
from tests.harness import Servers

books, dsn = test_ledger_chain.books, test_ledger_chain.dsn


def run_verify(servers: Servers, dsn: str) -> subprocess.CompletedProcess[str]:
    env = servers.env(PAYSAGA_DATABASE_URL=dsn)
    command = [sys.executable, "-m", "paysaga", "verify"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


async def test_good_books_are_said_to_be_good_with_the_hash_to_keep(servers: Servers, dsn: str, books: Books) -> None:
    await paid(books, 3)  # nobody has numbered them yet
    done = run_verify(servers, dsn)
    assert done.returncode == 0, done.stdout + done.stderr
    last = await books.pool.fetchval("SELECT hash FROM ledger_chain WHERE number = 3")
    assert done.stdout.splitlines()[-2:] == [
        f"chain   3 movements, last hash {last.hex()}",
        "The books are as they should be.",
    ]
    assert "BROKEN" not in done.stdout


async def test_changed_row_is_named(servers: Servers, dsn: str, books: Books) -> None:
    await paid(books, 3)
    await books.ledger.extend_chain()
    db = await asyncpg.connect(dsn)
    await db.execute("SET session_replication_role = replica; UPDATE postings SET amount = 1 WHERE transaction = 2")
    await db.close()
    done = run_verify(servers, dsn)
    assert done.returncode == 1
    assert "BROKEN  every hash of the chain" in done.stdout
    assert "first: number 2, transaction 2" in done.stdout
    assert done.stdout.splitlines()[-1] == "4 rules are broken: see above."


def test_without_a_database_it_says_so(servers: Servers) -> None:
    done = run_verify(servers, f"postgresql://nobody:secret@{HOST}:{free_port()}/paysaga")
    assert done.returncode == 3
    assert "can't be read" in done.stdout
    assert "secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
