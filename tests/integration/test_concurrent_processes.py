"""Processes, not threads: each has an interpreter of its own, so an update that is lost between them is lost here."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from ledger.connections import open_pool
from ledger.postgres import PostgresLedger
from payments.state import PaymentStatus
from paysaga.dev.process import clean_environment
from tests.contract.ledger_words import EUR, Books, a_claim
from tests.harness import Servers, new_key

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("decide_payments.py")
PROCESSES = 4
OWN = 25
SHARED = 25
# A currency that no other test uses: its balances are this test's own.
CURRENCY = "ISK"


async def started(dsn: str, name: str, payments: list[str]) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"tests.integration.{SCRIPT.stem}", dsn, name, CURRENCY, str(EUR.amount), *payments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
        env=clean_environment(),
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n", (await process.communicate())[1].decode()
    return process


async def decided_by_processes(dsn: str, groups: list[list[str]]) -> None:
    """Give each group to a process and let them go at the same moment."""
    processes = await asyncio.gather(*(started(dsn, f"process-{n}", group) for n, group in enumerate(groups)))
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors.decode()


async def test_payments_decided_by_four_processes_at_once_are_posted_once(servers: Servers) -> None:
    pool = await open_pool(servers.postgres.dsn, 4)
    books = Books(PostgresLedger(pool), pool)
    keys = [new_key("process") for _ in range(PROCESSES * OWN + SHARED)]
    for key in keys:
        await books.ledger.claim(a_claim(key, amount=EUR.amount, currency=CURRENCY))
    shared, own = keys[:SHARED], keys[SHARED:]
    groups = [shared + own[n * OWN : (n + 1) * OWN] for n in range(PROCESSES)]
    await decided_by_processes(servers.postgres.dsn, groups)

    records = [await books.found(key) for key in keys]
    paid = [record for record in records if record.payment.status is PaymentStatus.SUCCEEDED]
    assert all(record.answer == record.payment for record in records)
    assert 0 < len(paid) < len(keys)
    for record in records:
        posted = await books.posted(record.payment.id)
        once = ("capture", "processor_receivable:sandbox", "sales", EUR.amount, CURRENCY)
        assert posted == ([once] if record in paid else [])
    balances = await pool.fetch("SELECT account, balance FROM balances WHERE currency = $1", CURRENCY)
    total = EUR.amount * len(paid)
    assert {row["account"]: row["balance"] for row in balances} == {
        "processor_receivable:sandbox": total,
        "sales": -total,
    }
    await pool.close()
