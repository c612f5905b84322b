"""The history is read over HTTP while payments are written two hundred a second: no gap, no duplicate."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ledger.connections import open_pool
from ledger.port import LedgerUnavailable
from ledger.postgres import PostgresLedger
from payments.money import Money
from tests.contract.ledger_words import Books, a_claim, succeeded
from tests.harness import Stack, new_key

RATE = 200
SECONDS = 4
# A currency that no other test uses.
MONEY = Money(amount=4990, currency="LSL")


@dataclass
class Writer:
    """Writes payments at a steady rate, as far as the machine lets it."""

    books: Books
    recorded: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    async def write(self) -> None:
        begun = time.monotonic()
        async with asyncio.TaskGroup() as writing:
            for number in range(RATE * SECONDS):
                await asyncio.sleep(begun + number / RATE - time.monotonic())
                writing.create_task(self._pay(new_key("rate")))
        self.seconds = time.monotonic() - begun

    async def _pay(self, key: str) -> None:
        claim = a_claim(key, amount=MONEY.amount, currency=MONEY.currency)
        await _persistently(lambda: self.books.ledger.claim(claim))
        await _persistently(lambda: self.books.ledger.decide(succeeded(key, MONEY)))
        self.recorded.append(key)


async def _persistently(write: Callable[[], Awaitable[object]]) -> None:
    """As an activity does: on a busy machine, no connection may be free for seconds."""
    while True:
        try:
            await write()
        except LedgerUnavailable:
            continue
        return


async def whole_history(stack: Stack) -> list[str]:
    """The payments of all pages, the newest first."""
    found: list[str] = []
    cursor = None
    while True:
        query = {"currency": MONEY.currency, "limit": "100"} | ({"cursor": cursor} if cursor else {})
        page = (await stack.http.get("/v1/transactions", params=query)).json()
        found += [line["payment_id"] for line in page["data"] if line["payment_id"].startswith("rate-")]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_history_read_while_two_hundred_payments_a_second_are_written_has_no_gap_and_no_duplicate(
    stack: Stack,
) -> None:
    pool = await open_pool(stack.servers.postgres.dsn, 8)
    writer = Writer(Books(PostgresLedger(pool), pool))
    writing = asyncio.create_task(writer.write())
    readings = 0
    while not writing.done():
        there_before = set(writer.recorded)
        found = await whole_history(stack)
        assert len(found) == len(set(found))
        assert there_before <= set(found)
        readings += 1
    await writing
    await pool.close()
    found = await whole_history(stack)
    assert sorted(found) == sorted(writer.recorded)
    assert len(found) == RATE * SECONDS
    print(f"{len(found) / writer.seconds:.0f} payments/s written, read {readings} times meanwhile")
    assert readings > 3
