"""What a `Ledger` must do with refunds: reserve first, never more than was charged, each once, corrections by name."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio

from ledger.connections import open_pool
from ledger.port import LedgerRefused, LedgerUnavailable
from ledger.postgres import PostgresLedger
from payments.money import Money
from payments.payment import Failure, RefundStatus
from payments.refunds import REFUNDS_MAX, REFUSALS_MAX
from payments.state import PaymentStatus
from tests.contract.ledger_words import DECLINED, EUR, Books, a_refund, declined, refunded, sale, succeeded, undone
from tests.harness import Servers, new_key

OWED = ("refund_reservation", "refunds", "refunds_payable")
BACK = ("refund", "refunds_payable", "processor_receivable:sandbox")
NOT_OWED = ("refund_release", "refunds_payable", "refunds")
REVERSED = ("refund_reversal", "processor_receivable:sandbox", "refunds")


@pytest_asyncio.fixture
async def books(servers: Servers) -> AsyncGenerator[Books]:
    pool = await open_pool(servers.postgres.dsn, 10)
    yield Books(PostgresLedger(pool), pool)
    await pool.close()


async def paid(books: Books, currency: str = "EUR") -> str:
    key = await books.claimed(currency=currency)
    await books.ledger.decide(succeeded(key, Money(amount=EUR.amount, currency=currency)))
    return key


async def amounts(books: Books, key: str) -> tuple[PaymentStatus, int, int]:
    payment = (await books.found(key)).payment
    return payment.status, payment.amount_refunded, payment.amount_refundable


async def test_reserved_amount_can_not_be_refunded_again_while_the_processor_is_asked(books: Books) -> None:
    key = await paid(books)
    record = await books.ledger.reserve_refund(a_refund(key, "one", 4000))
    assert (record.refund.status, record.refund.amount, record.reserved_now) == (RefundStatus.PENDING, 4000, True)
    assert await amounts(books, key) == (PaymentStatus.SUCCEEDED, 0, 990)
    second = await books.ledger.reserve_refund(a_refund(key, "two", 991))
    assert second.refund.failure is not None
    assert (second.refund.status, second.refund.failure.code) == (RefundStatus.FAILED, "refund_exceeds_refundable")
    assert not second.reserved_now
    assert await books.posted(key) == [sale(), (*OWED, 4000, "EUR")]


async def test_reserving_twice_is_once_and_only_the_first_was_new(books: Books) -> None:
    key = await paid(books)
    first = await books.ledger.reserve_refund(a_refund(key, "one", 10))
    again = await books.ledger.reserve_refund(a_refund(key, "one", 20, fingerprint="e" * 64))
    assert again == first.model_copy(update={"reserved_now": False})
    assert await amounts(books, key) == (PaymentStatus.SUCCEEDED, 0, 4980)
    assert await books.ledger.find_refund(key, "one") == again
    assert await books.ledger.find_refund(key, "other") is None
    assert await books.ledger.find_refund(new_key(), "one") is None


async def test_refund_without_an_amount_reserves_what_is_left(books: Books) -> None:
    key = await paid(books)
    await books.ledger.reserve_refund(a_refund(key, "one", 990))
    assert (await books.ledger.reserve_refund(a_refund(key, "rest"))).refund.amount == 4000
    assert await amounts(books, key) == (PaymentStatus.SUCCEEDED, 0, 0)


async def test_of_fifty_reservations_at_once_exactly_as_many_succeed_as_fit(books: Books) -> None:
    key = await paid(books)
    records = await asyncio.gather(*(books.ledger.reserve_refund(a_refund(key, f"r{n}", 499)) for n in range(50)))
    assert [record.refund.status for record in records].count(RefundStatus.PENDING) == 10
    assert await amounts(books, key) == (PaymentStatus.SUCCEEDED, 0, 0)


async def test_ended_refunds_are_posted_once_and_move_the_payment_on(books: Books) -> None:
    key = await paid(books)
    await books.ledger.reserve_refund(a_refund(key, "one", 990))
    for _ in range(2):
        record = await books.ledger.end_refund(key, "one", refunded(key, "one", 990))
        assert (record.refund.status, record.refund.processor_reference) == (RefundStatus.SUCCEEDED, "re_one")
        assert (record.payment.status, record.payment.amount_refunded) == (PaymentStatus.PARTIALLY_REFUNDED, 990)
    assert (await books.ledger.end_refund(key, "one", DECLINED)).refund.status is RefundStatus.SUCCEEDED
    await books.ledger.reserve_refund(a_refund(key, "rest"))
    await books.ledger.end_refund(key, "rest", refunded(key, "rest", 4000))
    assert await amounts(books, key) == (PaymentStatus.REFUNDED, 4990, 0)
    of_each = [[(*OWED, amount, "EUR"), (*BACK, amount, "EUR")] for amount in (990, 4000)]
    assert await books.posted(key) == [sale(), *of_each[0], *of_each[1]]
    answer = (await books.found(key)).answer
    assert answer is not None
    assert (answer.status, answer.amount_refunded) == (PaymentStatus.SUCCEEDED, 0)


async def test_declined_refund_frees_what_it_reserved_and_owes_nothing(books: Books) -> None:
    key = await paid(books)
    await books.ledger.reserve_refund(a_refund(key, "one"))
    for _ in range(2):
        record = await books.ledger.end_refund(key, "one", DECLINED)
        assert (record.refund.status, record.refund.failure) == (RefundStatus.FAILED, DECLINED)
    late = await books.ledger.end_refund(key, "one", refunded(key, "one", 4990))
    assert late.refund.status is RefundStatus.FAILED
    assert await amounts(books, key) == (PaymentStatus.SUCCEEDED, 0, 4990)
    assert await books.posted(key) == [sale(), (*OWED, 4990, "EUR"), (*NOT_OWED, 4990, "EUR")]


async def test_refund_that_failed_after_all_is_reversed_by_name_and_refundable_again(books: Books) -> None:
    key = await paid(books)
    for refund, amount in (("one", 4000), ("two", 990)):
        await books.ledger.reserve_refund(a_refund(key, refund, amount))
        await books.ledger.end_refund(key, refund, refunded(key, refund, amount))
    failure = Failure(code="refund_failed", message="It came back.")
    for _ in range(2):
        record = await books.ledger.reverse_refund(key, "one", failure)
        assert (record.refund.status, record.refund.failure) == (RefundStatus.FAILED, failure)
    assert await amounts(books, key) == (PaymentStatus.PARTIALLY_REFUNDED, 990, 4000)
    await books.ledger.reverse_refund(key, "two", failure)
    assert await amounts(books, key) == (PaymentStatus.SUCCEEDED, 0, 4990)
    assert await books.posted(key) == [
        sale(),
        (*OWED, 4000, "EUR"),
        (*BACK, 4000, "EUR"),
        (*OWED, 990, "EUR"),
        (*BACK, 990, "EUR"),
        (*REVERSED, 4000, "EUR"),
        (*REVERSED, 990, "EUR"),
    ]
    keys = await books.pool.fetch("SELECT operation_key FROM ledger_transactions WHERE payment_id = $1", key)
    assert sum(row[0].startswith("reversal-of-refund-1-") for row in keys) == 2


async def test_pending_or_refused_refund_is_not_reversed(books: Books) -> None:
    key = await paid(books)
    await books.ledger.reserve_refund(a_refund(key, "pending", 10))
    await books.ledger.reserve_refund(a_refund(key, "refused", 5000))
    for refund in ("pending", "refused"):
        before = await books.ledger.find_refund(key, refund)
        after = await books.ledger.reverse_refund(key, refund, DECLINED)
        assert before is not None
        assert after.refund == before.refund
    assert await books.posted(key) == [sale(), (*OWED, 10, "EUR")]


async def test_unknown_outcome_of_a_refund_is_shown_and_cleared_when_it_ends(books: Books) -> None:
    key = await paid(books)
    await books.ledger.reserve_refund(a_refund(key, "one", 10))
    await books.ledger.mark_refund_unknown(key, "one", timedelta(seconds=30))
    (refund,) = await books.ledger.refunds(key)
    assert refund.outcome_unknown is not None
    assert (refund.outcome_unknown.next_check_at - refund.outcome_unknown.since) == timedelta(seconds=30)
    await books.ledger.end_refund(key, "one", refunded(key, "one", 10))
    await books.ledger.mark_refund_unknown(key, "one", timedelta(seconds=30))
    (refund,) = await books.ledger.refunds(key)
    assert (refund.status, refund.outcome_unknown) == (RefundStatus.SUCCEEDED, None)


async def test_payment_that_was_not_charged_is_not_refundable(books: Books) -> None:
    undecided, refused, failed = await books.claimed(), await books.claimed(), await books.claimed()
    await books.ledger.decide(declined(refused))
    await books.ledger.decide(undone(failed))
    for key in (undecided, refused, failed):
        record = await books.ledger.reserve_refund(a_refund(key))
        assert record.refund.failure is not None
        assert (record.refund.failure.code, record.refund.amount) == ("payment_not_refundable", 0)


async def test_refusals_are_written_up_to_their_number_and_then_only_answered(books: Books) -> None:
    key = await paid(books)
    for n in range(REFUSALS_MAX + 3):
        record = await books.ledger.reserve_refund(a_refund(key, f"r{n}", 5000))
        assert record.refund.status is RefundStatus.FAILED
    assert len(await books.ledger.refunds(key)) == REFUSALS_MAX
    assert (await books.ledger.reserve_refund(a_refund(key, "good", 1))).reserved_now


async def test_payment_takes_so_many_refunds_and_no_more(books: Books) -> None:
    key = await paid(books)
    for n in range(REFUNDS_MAX):
        assert (await books.ledger.reserve_refund(a_refund(key, f"r{n}", 1))).reserved_now
    record = await books.ledger.reserve_refund(a_refund(key, "one-more", 1))
    assert record.refund.failure is not None
    assert record.refund.failure.code == "payment_not_refundable"


@pytest.mark.parametrize("account", ["refunds", "refunds_payable"])
async def test_refund_is_not_reserved_while_an_account_of_it_is_closed(books: Books, account: str) -> None:
    """So nobody asks the processor for it."""
    currency = "NOK" if account == "refunds" else "DKK"
    key = await paid(books, currency)
    await books.by_hand("INSERT INTO accounts VALUES ($1, $2, now())", account, currency)
    with pytest.raises(LedgerRefused, match="account_is_open"):
        await books.ledger.reserve_refund(a_refund(key, "one"))
    assert await books.ledger.find_refund(key, "one") is None
    assert await amounts(books, key) == (PaymentStatus.SUCCEEDED, 0, EUR.amount)
    await books.by_hand("UPDATE accounts SET closed_at = NULL WHERE name = $1 AND currency = $2", account, currency)
    assert (await books.ledger.reserve_refund(a_refund(key, "one"))).reserved_now


@pytest.mark.parametrize("account", ["refunds", "refunds_payable", "processor_receivable:sandbox"])
async def test_refund_whose_account_was_closed_meanwhile_ends_all_the_same_or_stays_pending(
    books: Books, account: str
) -> None:
    currency = {"refunds": "ISK", "refunds_payable": "BAM"}.get(account, "MKD")
    close = "UPDATE accounts SET closed_at = now() WHERE name = $1 AND currency = $2"
    key = await paid(books, currency)
    for refund in ("made", "declined"):
        await books.ledger.reserve_refund(a_refund(key, refund, 10))
    await books.by_hand(close, account, currency)
    refused = {"made": account != "refunds", "declined": account != "processor_receivable:sandbox"}
    for refund, end in (("made", refunded(key, "made", 10, currency)), ("declined", DECLINED)):
        if refused[refund]:
            with pytest.raises(LedgerRefused, match="account_is_open"):
                await books.ledger.end_refund(key, refund, end)
            waiting = await books.ledger.find_refund(key, refund)
            assert waiting is not None
            assert waiting.refund.status is RefundStatus.PENDING
            await books.by_hand(close.replace("now()", "NULL"), account, currency)
        assert (await books.ledger.end_refund(key, refund, end)).refund.status is not RefundStatus.PENDING
        await books.by_hand(close, account, currency)
    assert await amounts(books, key) == (PaymentStatus.PARTIALLY_REFUNDED, 10, EUR.amount - 10)


async def test_refund_without_a_row_is_no_refusal_but_an_outage(books: Books) -> None:
    key = await paid(books)
    with pytest.raises(LedgerUnavailable):
        await books.ledger.end_refund(key, "lost", DECLINED)


async def test_database_refuses_more_than_was_charged_whatever_the_code_thinks(books: Books) -> None:
    key = await paid(books)
    with pytest.raises(asyncpg.CheckViolationError, match="refunded_within_captured"):
        await books.by_hand("UPDATE payments SET amount_refunding = 4991 WHERE id = $1", key)
