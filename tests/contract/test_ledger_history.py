"""The lists of the ledger: a line for whatever moved or came to nothing, and pages that stay while others write."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from ledger.connections import READING, open_pool
from ledger.history import PostgresHistory
from ledger.postgres import PostgresLedger
from payments.history import PaymentFilter, Place, Transaction, TransactionFilter
from payments.money import Money
from payments.payment import Failure, Payment
from tests.contract.ledger_words import (
    DECLINED,
    Books,
    a_refund,
    declined,
    given_back,
    refunded,
    succeeded,
    undone,
)
from tests.harness import Servers, new_key

Lines = tuple[Transaction, ...]


@pytest_asyncio.fixture
async def books(servers: Servers) -> AsyncGenerator[Books]:
    pool = await open_pool(servers.postgres.dsn, 20)
    yield Books(PostgresLedger(pool), pool)
    await pool.close()


@pytest_asyncio.fixture
async def history(servers: Servers) -> AsyncGenerator[PostgresHistory]:
    pool = await open_pool(servers.postgres.dsn, 3, READING)
    yield PostgresHistory(pool)
    await pool.close()


def a_customer() -> str:
    return f"cus_{secrets.token_hex(6)}"


async def lines_of(history: PostgresHistory, customer: str, **fields: Any) -> Lines:
    """The oldest first, as they happened."""
    wanted = TransactionFilter.model_validate({"customer": customer} | fields)
    return tuple(reversed(await history.transactions(wanted, None, 100)))


def told(lines: Lines) -> list[tuple[str, str, int]]:
    return [(line.type, line.status, line.amount) for line in lines]


async def test_charge_and_its_refunds_are_lines_whose_sum_is_what_is_left(
    books: Books, history: PostgresHistory
) -> None:
    customer = a_customer()
    key = await books.claimed(customer=customer, order_id=new_key("order"), description="Two books")
    assert await lines_of(history, customer) == ()
    await books.ledger.decide(succeeded(key))
    for refund, amount in (("a", 1000), ("b", 490)):
        await books.ledger.reserve_refund(a_refund(key, refund, amount))
        await books.ledger.end_refund(key, refund, refunded(key, refund, amount))
    lines = await lines_of(history, customer)
    assert told(lines) == [
        ("capture", "succeeded", 4990),
        ("refund", "succeeded", -1000),
        ("refund", "succeeded", -490),
    ]
    assert [line.refund_id for line in lines] == [None, "a", "b"]
    assert [line.amount_requested for line in lines] == [4990, 1000, 490]
    assert {line.description for line in lines} == {"Two books"}
    assert [line.processor_reference for line in lines] == [f"cap_{key}", "re_a", "re_b"]
    assert all(line.operation_key and line.payment_id == key and line.failure is None for line in lines)
    assert lines[0].created_at < lines[1].created_at < lines[2].created_at
    row = await books.row(key)
    assert sum(line.amount for line in lines) == row["amount_captured"] - row["amount_refunded"]


async def test_what_is_done_twice_is_one_line(books: Books, history: PostgresHistory) -> None:
    customer = a_customer()
    key = await books.claimed(customer=customer)
    for _ in range(2):
        await books.ledger.decide(succeeded(key))
        await books.ledger.reserve_refund(a_refund(key))
        await books.ledger.end_refund(key, "refund", refunded(key, "refund", 4990))
        await books.ledger.reverse_refund(key, "refund", DECLINED)
    assert len(await lines_of(history, customer)) == 3


async def test_refund_that_failed_later_comes_in_again_with_its_reason(books: Books, history: PostgresHistory) -> None:
    customer = a_customer()
    key = await books.claimed(customer=customer)
    await books.ledger.decide(succeeded(key))
    await books.ledger.reserve_refund(a_refund(key, "r", 1000))
    await books.ledger.end_refund(key, "r", refunded(key, "r", 1000))
    await books.ledger.reverse_refund(key, "r", DECLINED)
    _, out, back = await lines_of(history, customer)
    assert told((out, back)) == [("refund", "succeeded", -1000), ("refund_reversal", "succeeded", 1000)]
    assert (out.refund_id, out.failure) == ("r", None)
    assert (back.refund_id, back.failure) == ("r", DECLINED)


async def test_decline_is_a_line_without_an_amount_and_with_its_reason(books: Books, history: PostgresHistory) -> None:
    customer = a_customer()
    key = await books.claimed(customer=customer)
    await books.ledger.decide(declined(key))
    (line,) = await lines_of(history, customer)
    assert (line.type, line.status, line.amount, line.amount_requested) == ("payment", "declined", 0, 4990)
    assert (line.failure, line.operation_key, line.processor_reference) == (DECLINED, None, None)


async def test_charge_that_was_undone_is_three_lines_the_reason_last(books: Books, history: PostgresHistory) -> None:
    customer = a_customer()
    key = await books.claimed(customer=customer)
    await books.ledger.decide(undone(key))
    lines = await lines_of(history, customer)
    assert told(lines) == [("capture", "succeeded", 4990), ("refund", "succeeded", -4990), ("payment", "failed", 0)]
    assert lines[1].refund_id is None  # nobody asked for it
    assert lines[2].failure == Failure(code="recording_refused", message="Undone.")


async def test_undoing_that_was_made_again_is_told_as_such(books: Books, history: PostgresHistory) -> None:
    customer = a_customer()
    key = await books.claimed(customer=customer)
    await books.ledger.decide(undone(key))
    again = given_back(key).model_copy(update={"operation_key": f"refund-2-{key}", "processor_reference": "re_2"})
    await books.ledger.redo_refund(key, 0, given_back(key).operation_key, again)
    lines = await lines_of(history, customer)
    assert sorted(told(lines)[3:]) == [("refund", "succeeded", -4990), ("refund_reversal", "succeeded", 4990)]
    assert sum(line.amount for line in lines) == 0


async def test_payment_refused_for_its_order_is_a_failed_line(books: Books, history: PostgresHistory) -> None:
    customer, order = a_customer(), new_key("order")
    await books.claimed(order_id=order)
    await books.claimed(order_id=order, customer=customer)
    (line,) = await lines_of(history, customer)
    assert (line.type, line.status, line.amount) == ("payment", "failed", 0)
    assert line.failure is not None
    assert line.failure.code == "order_already_paid"


async def test_refund_that_the_processor_refused_is_a_line_and_one_that_we_refused_is_none(
    books: Books, history: PostgresHistory
) -> None:
    customer = a_customer()
    key = await books.claimed(customer=customer)
    await books.ledger.decide(succeeded(key))
    await books.ledger.reserve_refund(a_refund(key, "refused", 5000))
    await books.ledger.reserve_refund(a_refund(key, "failed", 1000))
    await books.ledger.end_refund(key, "failed", DECLINED)
    _, line = await lines_of(history, customer)
    assert (line.type, line.status, line.amount, line.amount_requested) == ("refund", "failed", 0, 1000)
    assert (line.refund_id, line.failure) == ("failed", DECLINED)


async def test_other_currency_that_a_processor_charged_stands_in_the_history_too(
    books: Books, history: PostgresHistory
) -> None:
    """It moved, though not in what the payment says of itself."""
    customer = a_customer()
    key = await books.claimed(customer=customer)
    dollars = Money(amount=4990, currency="USD")
    decision = undone(key)
    moved = tuple(movement.model_copy(update={"money": dollars}) for movement in decision.movements)
    await books.ledger.decide(decision.model_copy(update={"movements": moved, "conflicted": True}))
    lines = await lines_of(history, customer)
    assert [(line.currency, line.amount) for line in lines] == [("USD", 4990), ("USD", -4990), ("EUR", 0)]


async def test_every_movement_of_the_journal_is_a_line_of_the_history(books: Books) -> None:
    """Whatever the tests before have written. What is owed or held has not moved."""
    missing = """
        SELECT t.operation_key FROM ledger_transactions t
        WHERE operation IN ('capture', 'refund', 'refund_reversal')
            AND NOT EXISTS (SELECT FROM history h WHERE h.transaction = t.sequence)
    """
    assert await books.pool.fetch(missing) == []


# Filters and pages.


async def test_each_filter_chooses_and_all_of_them_together(books: Books, history: PostgresHistory) -> None:
    customer, order = a_customer(), new_key("order")
    good = await books.claimed(customer=customer, order_id=order, currency="CHF")
    bad = await books.claimed(customer=customer, currency="SEK")
    other = await books.claimed()
    await books.ledger.decide(succeeded(good, Money(amount=4990, currency="CHF")))
    await books.ledger.decide(declined(bad))
    await books.ledger.decide(succeeded(other))
    at = (await books.found(bad)).payment.created_at
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({}, {good, bad}),
        ({"order_id": order}, {good}),
        ({"currency": "SEK"}, {bad}),
        ({"status": "succeeded"}, {good}),
        ({"status": "declined"}, {bad}),
        ({"created_to": at.isoformat()}, {good}),
        ({"created_from": at.isoformat()}, {bad}),
        ({"created_from": at.isoformat(), "created_to": at.isoformat()}, set()),
        ({"order_id": order, "currency": "CHF", "status": "succeeded", "created_from": "2026-01-01"}, {good}),
        ({"order_id": order, "currency": "SEK"}, set()),
        ({"order_id": "' OR 1=1 --"}, set()),
        ({"order_id": "%"}, set()),
    ]
    for fields, expected in cases:
        wanted = PaymentFilter.model_validate({"customer": customer} | fields)
        found = await history.payments(wanted, None, 100)
        assert {payment.id for payment in found} == expected, fields
    wanted = TransactionFilter.model_validate({"customer": customer, "type": "capture", "currency": "CHF"})
    assert [line.payment_id for line in await history.transactions(wanted, None, 100)] == [good]


async def test_listed_payment_is_the_payment_with_its_refunds(books: Books, history: PostgresHistory) -> None:
    customer = a_customer()
    keys = [await books.claimed(customer=customer) for _ in range(3)]
    for key in keys[:2]:
        await books.ledger.decide(succeeded(key))
    for refund in ("b", "a"):
        await books.ledger.reserve_refund(a_refund(keys[0], refund, 10))
    found = await history.payments(PaymentFilter(customer=customer), None, 10)
    assert [payment.id for payment in found] == keys[::-1]
    expected = (await books.found(keys[0])).payment
    assert found[2] == expected.model_copy(update={"refunds": await books.ledger.refunds(keys[0])})
    assert [refund.id for refund in found[2].refunds] == ["b", "a"]
    assert (found[0].status, found[1].refunds) == ("processing", ())


async def _all_pages(fetch: Callable[[Place | None], Awaitable[tuple[Any, ...]]]) -> list[Any]:
    found: list[Any] = []
    place = None
    while page := await fetch(place):
        found += page
        place = Place(created_at=page[-1].created_at, id=page[-1].id)
    return found


async def test_pages_hold_each_row_once_though_many_share_their_moment(books: Books, history: PostgresHistory) -> None:
    customer = a_customer()
    async with books.pool.acquire() as connection, connection.transaction():  # one transaction: one created_at
        for number in range(25):
            await connection.execute(
                "INSERT INTO payments (id, fingerprint, request, amount, currency, customer, first_run)"
                """ VALUES ($1, $2, '{"amount": 1, "currency": "EUR", "payment_method": "x"}', 1, 'EUR', $3, 'run')""",
                f"{new_key('same')}-{number}",
                "0" * 64,
                customer,
            )
    for limit in (1, 7, 25, 26):
        found: list[Payment] = await _all_pages(
            lambda place, limit=limit: history.payments(PaymentFilter(customer=customer), place, limit)
        )
        assert len(found) == len({payment.id for payment in found}) == 25
        assert [p.id for p in found] == sorted((p.id for p in found), reverse=True)


async def test_whoever_reads_while_others_write_misses_nothing_that_was_there_and_sees_nothing_twice(
    books: Books, history: PostgresHistory
) -> None:
    customer = a_customer()
    written: list[str] = []

    async def write(count: int) -> None:
        for _ in range(count):
            key = await books.claimed(customer=customer)
            await books.ledger.decide(succeeded(key) if len(written) % 3 else declined(key))
            written.append(key)

    await write(30)
    writers = asyncio.gather(*(write(40) for _ in range(4)))
    wanted = TransactionFilter(customer=customer)
    rounds = 0
    while not writers.done():
        before = set(written)
        lines: list[Transaction] = await _all_pages(lambda place: history.transactions(wanted, place, 7))
        ids = [line.id for line in lines]
        assert len(ids) == len(set(ids))
        assert before <= {line.payment_id for line in lines}
        assert all(a.created_at >= b.created_at for a, b in itertools.pairwise(lines))
        rounds += 1
    await writers
    assert rounds > 1
    assert len(await _all_pages(lambda place: history.transactions(wanted, place, 100))) == 190


async def test_filter_by_time_is_exact_to_the_microsecond(books: Books, history: PostgresHistory) -> None:
    customer = a_customer()
    key = await books.claimed(customer=customer)
    await books.ledger.decide(succeeded(key))
    (line,) = await lines_of(history, customer)
    at, next_ = line.created_at, line.created_at + timedelta(microseconds=1)
    assert at.tzinfo is not None
    assert len(await lines_of(history, customer, created_from=at.isoformat(), created_to=next_.isoformat())) == 1
    assert await lines_of(history, customer, created_from=next_.isoformat()) == ()
    assert await lines_of(history, customer, created_to=at.astimezone(UTC).isoformat()) == ()


async def test_history_can_only_be_read_through_its_pool(history: PostgresHistory, servers: Servers) -> None:
    pool = await open_pool(servers.postgres.dsn, 1, READING)
    with pytest.raises(Exception, match="read-only transaction"):
        await pool.execute("DELETE FROM schema_migrations")
    await pool.close()
    assert await history.payments(PaymentFilter(created_to=datetime(1, 1, 2, tzinfo=UTC).isoformat()), None, 1) == ()  # pyright: ignore[reportArgumentType]
