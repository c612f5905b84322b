"""What every `Ledger` does with a payment whose customer must confirm first."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
import pytest_asyncio

from ledger.connections import open_pool
from ledger.port import LedgerRefused
from ledger.postgres import PostgresLedger
from payments.payment import NextAction
from payments.state import PaymentStatus
from tests.contract.ledger_words import ACTION, RELEASE, Books, declined, succeeded, undone
from tests.harness import Servers


@pytest_asyncio.fixture
async def books(servers: Servers) -> AsyncGenerator[Books]:
    pool = await open_pool(servers.postgres.dsn, 4)
    yield Books(PostgresLedger(pool), pool)
    await pool.close()


async def test_what_the_customer_must_do_is_shown_until_it_is_over(books: Books) -> None:
    key = await books.claimed()
    record = await books.ledger.require_action(key, ACTION)
    assert record == await books.ledger.require_action(key, ACTION)
    assert record.payment.status is PaymentStatus.REQUIRES_ACTION
    assert record.payment.next_action == NextAction(url=ACTION.url, expires_at=ACTION.expires_at)
    assert (record.answer, record.action_ended_at) == (None, None)

    ended = await books.ledger.end_action(key)
    assert ended == await books.ledger.end_action(key)
    assert (ended.payment.status, ended.payment.next_action) == (PaymentStatus.PROCESSING, None)
    assert ended.action_ended_at is not None
    assert ended.action_ended_at >= record.claimed_at


async def test_try_that_comes_too_late_does_not_bring_back_an_action_that_is_over(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.require_action(key, ACTION)
    await books.ledger.end_action(key)
    assert (await books.ledger.require_action(key, ACTION)).payment.status is PaymentStatus.PROCESSING
    await books.ledger.decide(succeeded(key))
    for late in (books.ledger.require_action(key, ACTION), books.ledger.end_action(key)):
        assert (await late).payment.status is PaymentStatus.SUCCEEDED


async def test_payment_that_is_being_undone_asks_no_customer(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.begin_undoing(key, RELEASE)
    record = await books.ledger.require_action(key, ACTION)
    assert (record.payment.status, record.payment.next_action) == (PaymentStatus.PROCESSING, None)
    assert record.undoing == RELEASE


async def test_payment_whose_customer_gave_up_is_decided_and_its_action_is_over(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.require_action(key, ACTION)
    payment = await books.ledger.decide(declined(key))
    assert (payment.status, payment.next_action) == (PaymentStatus.DECLINED, None)
    found = await books.found(key)
    assert found.answer == found.payment == payment
    assert found.action_ended_at == payment.updated_at


async def test_charge_is_not_recorded_while_the_customer_has_not_confirmed(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.require_action(key, ACTION)
    with pytest.raises(LedgerRefused) as refusal:
        await books.ledger.decide(succeeded(key))
    assert refusal.value.rule == "state_machine"
    assert await books.posted(key) == []


async def test_unknown_outcome_is_shown_beside_the_action_and_cleared_when_it_is_told_again(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.mark_unknown(key, "authorize", timedelta(seconds=5))
    assert (await books.ledger.require_action(key, ACTION)).payment.outcome_unknown is None
    await books.ledger.mark_unknown(key, "authorize", timedelta(seconds=5))
    unknown = (await books.found(key)).payment.outcome_unknown
    assert unknown is not None
    assert unknown.operation == "authorize"


async def test_late_release_is_counted_once_for_each(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.decide(declined(key))
    for before in (0, 0, 1):
        await books.ledger.count_late_release(key, before)
    assert (await books.found(key)).late_releases == 2


async def test_refused_refund_of_a_charge_is_counted_once_for_each_and_only_while_it_is_being_undone(
    books: Books,
) -> None:
    key = await books.claimed()
    await books.ledger.count_refused_refund(key, 0)
    assert (await books.found(key)).late_refunds == 0
    await books.ledger.begin_undoing(key, RELEASE)
    for before in (0, 0, 1):
        await books.ledger.count_refused_refund(key, before)
    assert (await books.found(key)).late_refunds == 2
    await books.ledger.decide(undone(key))
    await books.ledger.count_refused_refund(key, 2)
    assert (await books.found(key)).late_refunds == 2
