"""What a `Ledger` must do: each method twice is once, a key and an order belong to one, a decision is for ever."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from pydantic import ValidationError

from ledger.connections import open_pool
from ledger.port import Decision, LedgerRefused, LedgerUnavailable
from ledger.postgres import PostgresLedger
from payments.money import Money
from payments.payment import ORDER_ALREADY_PAID
from payments.state import PaymentStatus
from tests.contract.ledger_words import RELEASE, Books, a_claim, charged, declined, sale, succeeded, undone
from tests.harness import Servers, new_key


@pytest_asyncio.fixture
async def books(servers: Servers) -> AsyncGenerator[Books]:
    pool = await open_pool(servers.postgres.dsn, 10)
    yield Books(PostgresLedger(pool), pool)
    await pool.close()


async def test_claim_writes_the_request_before_anything_is_known(books: Books) -> None:
    claim = a_claim(order_id=new_key("order"), metadata={"note": "Grüße 😀"})
    record = await books.ledger.claim(claim)
    assert (record.request.model_dump(), record.fingerprint, record.first_run) == (
        claim.request.model_dump(),
        claim.request.fingerprint(),
        "run-1",
    )
    assert (record.payment.status, record.answer, record.undoing) == (PaymentStatus.PROCESSING, None, None)
    assert (record.payment.amount_captured, record.payment.amount_refundable) == (0, 0)
    assert record.claimed_now
    assert await books.found(claim.payment_id) == record.model_copy(update={"claimed_now": False})


async def test_find_is_none_for_a_key_that_was_never_claimed(books: Books) -> None:
    assert await books.ledger.find(new_key()) is None


async def test_claim_twice_is_one_row_and_the_same_record(books: Books) -> None:
    claim = a_claim(order_id=new_key("order"))
    first = (await books.ledger.claim(claim)).model_copy(update={"claimed_now": False})
    assert await books.ledger.claim(claim) == first
    assert await books.ledger.claim(claim.model_copy(update={"run": "run-2"})) == first


async def test_claim_with_another_request_returns_the_first_ones_row(books: Books) -> None:
    claim = a_claim(amount=100)
    first = (await books.ledger.claim(claim)).model_copy(update={"claimed_now": False})
    second = await books.ledger.claim(a_claim(claim.payment_id, amount=999))
    assert second == first
    assert second.fingerprint == claim.request.fingerprint()
    assert (await books.row(claim.payment_id))["amount"] == 100


async def test_thirty_claims_of_one_key_at_once_are_one_row(books: Books) -> None:
    key, order = new_key(), new_key("order")
    claims = [a_claim(key, run=f"run-{n}", amount=n + 1, order_id=order) for n in range(30)]
    records = await asyncio.gather(*(books.ledger.claim(claim) for claim in claims))
    assert sorted(record.claimed_now for record in records) == [*[False] * 29, True]
    found = await books.found(key)
    assert {record.model_copy(update={"claimed_now": False}) == found for record in records} == {True}
    assert records[0].answer is None


async def test_five_payments_of_one_order_at_once_leave_one_open(books: Books) -> None:
    order = new_key("order")
    records = await asyncio.gather(*(books.ledger.claim(a_claim(order_id=order)) for _ in range(5)))
    refused = [record for record in records if record.payment.status is PaymentStatus.FAILED]
    assert [record.payment.status for record in records].count(PaymentStatus.PROCESSING) == 1
    assert len(refused) == 4
    for record in refused:
        assert record.answer is not None
        assert record.answer.failure is not None
        assert (record.answer.status, record.answer.failure.code) == (PaymentStatus.FAILED, ORDER_ALREADY_PAID)
        assert await books.found(record.payment.id) == record


async def test_payment_refused_for_its_order_stays_refused_when_the_order_is_free_again(books: Books) -> None:
    order = new_key("order")
    holder, other = await books.claimed(order_id=order), a_claim(order_id=order)
    refused = await books.ledger.claim(other)
    await books.ledger.decide(declined(holder))
    assert await books.ledger.claim(other) == refused
    answer = await books.ledger.decide(succeeded(other.payment_id))
    assert answer == refused.answer
    assert await books.posted(other.payment_id) == []


async def test_order_is_held_by_its_paid_payment(books: Books) -> None:
    order = new_key("order")
    await books.ledger.decide(succeeded(await books.claimed(order_id=order)))
    assert (await books.ledger.claim(a_claim(order_id=order))).payment.status is PaymentStatus.FAILED


@pytest.mark.parametrize("end", [declined, undone])
async def test_payment_that_was_not_charged_frees_its_order(books: Books, end: Callable[[str], Decision]) -> None:
    order = new_key("order")
    await books.ledger.decide(end(await books.claimed(order_id=order)))
    assert (await books.ledger.claim(a_claim(order_id=order))).payment.status is PaymentStatus.PROCESSING


async def test_payments_without_an_order_do_not_hold_each_other(books: Books) -> None:
    for _ in range(2):
        assert (await books.found(await books.claimed())).payment.status is PaymentStatus.PROCESSING


async def test_decide_twice_posts_once_and_the_first_answer_stays(books: Books) -> None:
    key = await books.claimed()
    first = await books.ledger.decide(succeeded(key))
    assert await books.ledger.decide(succeeded(key)) == first
    record = await books.found(key)
    assert record.answer == first == record.payment
    assert (first.status, first.amount_captured, first.amount_refundable) == (PaymentStatus.SUCCEEDED, 4990, 4990)
    assert await books.posted(key) == [sale()]


async def test_another_decision_keeps_the_first(books: Books) -> None:
    key = await books.claimed()
    first = await books.ledger.decide(succeeded(key))
    for late in (declined(key), undone(key)):
        assert await books.ledger.decide(late) == first
    assert await books.posted(key) == [sale()]
    key = await books.claimed()
    first = await books.ledger.decide(declined(key))
    assert await books.ledger.decide(succeeded(key)) == first
    assert await books.posted(key) == []


async def test_decided_by_ten_connections_at_once_is_posted_once(books: Books) -> None:
    key = await books.claimed()
    answers = await asyncio.gather(*(books.ledger.decide(succeeded(key)) for _ in range(10)))
    assert {answer.model_dump_json() for answer in answers} == {answers[0].model_dump_json()}
    assert await books.posted(key) == [sale()]


async def test_success_and_failure_decided_at_once_leave_one_of_them(books: Books) -> None:
    key = await books.claimed()
    decisions = [succeeded(key), declined(key)] * 4
    answers = await asyncio.gather(*(books.ledger.decide(decision) for decision in decisions))
    assert {answer.model_dump_json() for answer in answers} == {answers[0].model_dump_json()}
    charged_once = answers[0].status is PaymentStatus.SUCCEEDED
    assert await books.posted(key) == ([sale()] if charged_once else [])


async def test_undone_charge_is_posted_both_ways_and_keeps_nothing(books: Books) -> None:
    key = await books.claimed()
    answer = await books.ledger.decide(undone(key))
    assert (answer.status, answer.amount_captured, answer.amount_refunded) == (PaymentStatus.FAILED, 4990, 4990)
    assert answer.amount_refundable == 0
    receivable = "processor_receivable:sandbox"
    assert await books.posted(key) == [
        ("capture", receivable, "suspense", 4990, "EUR"),
        ("refund", "suspense", receivable, 4990, "EUR"),
    ]


async def test_charge_of_another_payment_cannot_be_recorded_as_ours(books: Books) -> None:
    key, other = await books.claimed(), await books.claimed()
    await books.ledger.decide(succeeded(other))
    stolen = succeeded(key).model_copy(update={"movements": (charged(other),)})
    with pytest.raises(LedgerRefused) as error:
        await books.ledger.decide(stolen)
    assert error.value.rule == "amounts_are_posted"
    assert (await books.found(key)).answer is None


async def test_closed_account_refuses_and_leaves_nothing_written(books: Books) -> None:
    francs = Money(amount=500, currency="XPF")
    await books.ledger.decide(succeeded(await books.claimed(amount=500, currency="XPF"), francs))
    await books.by_hand("UPDATE accounts SET closed_at = now() WHERE name = 'sales' AND currency = 'XPF'")
    key = await books.claimed(amount=500, currency="XPF")
    with pytest.raises(LedgerRefused) as error:
        await books.ledger.decide(succeeded(key, francs))
    assert error.value.rule == "account_is_open"
    assert (await books.found(key)).answer is None
    assert await books.transactions(key) == 0
    await books.by_hand("UPDATE accounts SET closed_at = NULL WHERE name = 'sales' AND currency = 'XPF'")
    await books.ledger.decide(succeeded(key, francs))
    assert await books.posted(key) == [sale(500, "XPF")]


@pytest.mark.parametrize("amount", [4989, 4991])
async def test_charge_of_another_amount_is_no_success(books: Books, amount: int) -> None:
    key = await books.claimed()
    with pytest.raises(LedgerRefused) as error:
        await books.ledger.decide(succeeded(key, Money(amount=amount, currency="EUR")))
    assert error.value.rule == "succeeded_means_charged"
    assert await books.transactions(key) == 0


async def test_success_without_a_charge_is_refused(books: Books) -> None:
    key = await books.claimed()
    with pytest.raises(LedgerRefused):
        await books.ledger.decide(succeeded(key).model_copy(update={"movements": ()}))
    assert (await books.found(key)).answer is None


async def test_move_that_is_not_in_the_table_is_refused(books: Books) -> None:
    key = await books.claimed()
    with pytest.raises(LedgerRefused) as error:
        await books.ledger.decide(declined(key).model_copy(update={"status": PaymentStatus.REFUNDED}))
    assert error.value.rule == "state_machine"
    assert (await books.found(key)).answer is None


async def test_changing_what_was_read_changes_nothing_in_the_books(books: Books) -> None:
    key = await books.claimed(metadata={"note": "as it was"})
    before = (await books.found(key)).model_dump_json()
    read = await books.found(key)
    with pytest.raises(ValidationError, match="frozen"):
        read.payment.status = PaymentStatus.SUCCEEDED
    with pytest.raises(ValidationError, match="frozen"):
        read.payment.amount = 1
    read.payment.metadata["note"] = "hacked"
    assert (await books.found(key)).model_dump_json() == before


async def test_payment_that_was_never_claimed_cannot_be_decided(books: Books) -> None:
    key = new_key()
    # Not a refusal, which would undo the charge: a row can only be missing when a backup was restored.
    with pytest.raises(LedgerUnavailable, match="no row"):
        await books.ledger.decide(succeeded(key))


async def test_first_word_about_undoing_stays_and_forbids_success(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.begin_undoing(key, RELEASE)
    await books.ledger.begin_undoing(key, RELEASE.model_copy(update={"step": "undo-charge"}))
    assert (await books.found(key)).undoing == RELEASE
    with pytest.raises(LedgerRefused) as error:
        await books.ledger.decide(succeeded(key))
    assert error.value.rule == "undone_never_succeeds"
    assert await books.transactions(key) == 0
    assert (await books.ledger.decide(undone(key))).status is PaymentStatus.FAILED


async def test_unknown_outcome_is_shown_since_it_is_unknown(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.mark_unknown(key, "capture", timedelta(seconds=5))
    first = (await books.found(key)).payment.outcome_unknown
    await books.ledger.mark_unknown(key, "capture", timedelta(minutes=5))
    second = (await books.found(key)).payment.outcome_unknown
    assert first is not None
    assert second is not None
    assert (first.operation, first.next_check_at - first.since) == ("capture", timedelta(seconds=5))
    assert second.since == first.since
    assert second.next_check_at > first.next_check_at + timedelta(minutes=4)
    await books.ledger.mark_unknown(key, "refund", timedelta(seconds=5))
    third = (await books.found(key)).payment.outcome_unknown
    assert third is not None
    assert third.operation == "refund"
    assert third.since > first.since


async def test_decision_clears_the_unknown_outcome_for_ever(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.mark_unknown(key, "capture", timedelta(seconds=5))
    answer = await books.ledger.decide(succeeded(key))
    await books.ledger.mark_unknown(key, "capture", timedelta(seconds=5))
    await books.ledger.begin_undoing(key, RELEASE)
    record = await books.found(key)
    assert record.payment == answer == record.answer
    assert (record.payment.outcome_unknown, record.undoing) == (None, None)


async def test_a_process_that_stands_still_can_not_keep_a_payments_row_locked(books: Books) -> None:
    assert await books.pool.fetchval("SHOW idle_in_transaction_session_timeout") == "10s"
    assert await books.pool.fetchval("SHOW lock_timeout") == "4s"
