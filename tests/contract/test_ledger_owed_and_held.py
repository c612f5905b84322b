"""What is owed for refunds, and what is held: posted with the change that it tells of, equal to it at any time."""

from datetime import UTC, datetime

import asyncpg
import pytest

from ledger.port import Decision
from payments.identifiers import OperationKind, operation_key
from payments.messages import CaptureOrder
from payments.money import Money
from payments.operations import Executed
from payments.state import PaymentStatus
from tests.contract import test_ledger_chain
from tests.contract.ledger_words import DECLINED, EUR, RELEASE, Books, a_refund, charged, declined, refunded, sale
from tests.contract.test_ledger_chain import findings, paid

books, dsn = test_ledger_chain.books, test_ledger_chain.dsn

HOLD = ("hold", "held_authorizations:sandbox", "held_authorizations_contra", 4990, "EUR")
RELEASED = ("hold_release", "held_authorizations_contra", "held_authorizations:sandbox", 4990, "EUR")


def authorized(key: str) -> Decision:
    hold = Executed(reference=f"auth_{key}", payment_id=key, amount=EUR.amount, currency="EUR")
    return Decision(payment_id=key, status=PaymentStatus.AUTHORIZED, amount_authorized=EUR.amount, hold=hold)


def captured(key: str, amount: int) -> Decision:
    return Decision(
        payment_id=key,
        status=PaymentStatus.SUCCEEDED,
        amount_authorized=EUR.amount,
        movements=(charged(key, Money(amount=amount, currency="EUR")),),
    )


async def held(books: Books) -> str:
    key = await books.claimed(capture="manual")
    await books.ledger.decide(authorized(key))
    return key


async def balances(books: Books) -> dict[str, int]:
    """What doesn't come to nothing."""
    rows = await books.pool.fetch("SELECT account, balance FROM balances WHERE balance <> 0 AND currency = 'EUR'")
    return {row["account"]: row["balance"] for row in rows}


async def test_hold_is_a_memo_until_it_is_captured_and_then_released_whole(books: Books, dsn: str) -> None:
    key = await held(books)
    await books.ledger.decide(authorized(key))
    assert await books.posted(key) == [HOLD]
    assert await balances(books) == {HOLD[1]: 4990, HOLD[2]: -4990}
    order = CaptureOrder(key="ship", fingerprint="0" * 64, amount=1000, asked_at=datetime.now(UTC))
    await books.ledger.begin_capture(key, order)
    for _ in range(2):
        await books.ledger.decide(captured(key, 1000))
    # What the database posts by itself comes after what the statement posts, in the same transaction.
    assert sorted(await books.posted(key)) == sorted([HOLD, sale(1000), RELEASED])
    assert await balances(books) == {"processor_receivable:sandbox": 1000, "sales": -1000}
    await books.ledger.extend_chain()
    assert (await findings(dsn))[0] == {}


@pytest.mark.parametrize("status", [PaymentStatus.CANCELED, PaymentStatus.EXPIRED, PaymentStatus.DECLINED])
async def test_hold_that_comes_to_nothing_leaves_nothing(books: Books, status: PaymentStatus) -> None:
    key = await held(books)
    if status is not PaymentStatus.DECLINED:
        await books.ledger.begin_undoing(key, RELEASE)
    assert await balances(books) != {}
    await books.ledger.decide(declined(key).model_copy(update={"status": status, "amount_authorized": 4990}))
    assert await books.posted(key) == [HOLD, RELEASED]
    assert await balances(books) == {}


async def test_payment_that_is_charged_at_once_has_no_memo(books: Books) -> None:
    (key,) = await paid(books)
    assert await books.posted(key) == [sale()]


async def test_each_posting_has_a_key_of_its_own_and_says_which_charge_or_hold_it_is_of(books: Books) -> None:
    (key,) = await paid(books)
    await books.ledger.reserve_refund(a_refund(key, "a refund: e", 10))
    await books.ledger.reserve_refund(a_refund(key, "no", 10))
    await books.ledger.end_refund(key, "no", DECLINED)
    hold = await held(books)
    await books.ledger.decide(declined(hold))
    rows = await books.pool.fetch(
        "SELECT operation_key, processor, processor_reference FROM ledger_transactions WHERE operation <> 'capture'"
        " ORDER BY sequence"
    )
    first = operation_key(OperationKind.REFUND, key, refund_id="a refund: e")
    second = operation_key(OperationKind.REFUND, key, refund_id="no")
    authorize = operation_key(OperationKind.AUTHORIZE, hold)
    assert [tuple(row) for row in rows] == [
        (f"reservation-of-{first}", "sandbox", f"cap_{key}"),
        (f"reservation-of-{second}", "sandbox", f"cap_{key}"),
        (f"release-of-{second}", "sandbox", f"cap_{key}"),
        (authorize, "sandbox", f"auth_{hold}"),
        (f"release-of-{authorize}", "sandbox", f"auth_{hold}"),
    ]


# What somebody with the database in their hands may do to it.
OWED = "what is owed for refunds is what is pending"
HELD = "what is held is what authorized payments hold"
TAMPERED: dict[str, tuple[str, set[str]]] = {
    "pending refund declared failed": (
        "UPDATE refunds SET status = 'failed', failure_code = 'x', failure_message = 'x' WHERE id = 'pending'",
        {OWED, "every payment says what its refunds say"},
    ),
    "debt moved to another account": (
        "UPDATE postings SET credit_account = 'suspense' WHERE credit_account = 'refunds_payable'",
        {
            OWED,
            "every hash of the chain is that of what stands in the books",
            "every total is the sum of the movements in the chain",
        },
    ),
    "hold forgotten": ("UPDATE payments SET status = 'canceled' WHERE status = 'authorized'", {HELD}),
    "hold enlarged": ("UPDATE payments SET amount_authorized = 5000 WHERE status = 'authorized'", {HELD}),
    "hold of another processor": ("UPDATE payments SET processor = 'other' WHERE status = 'authorized'", {HELD}),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_debts_and_holds_that_differ_from_the_books_are_noticed(books: Books, dsn: str, what: str) -> None:
    statement, rules = TAMPERED[what]
    (key,) = await paid(books)
    await held(books)
    for refund in ("pending", "made"):
        await books.ledger.reserve_refund(a_refund(key, refund, 10))
    await books.ledger.end_refund(key, "made", refunded(key, "made", 10))
    await books.ledger.extend_chain()
    assert (await findings(dsn))[0] == {}
    db = await asyncpg.connect(dsn)
    await db.execute(f"SET session_replication_role = replica; {statement}")
    await db.close()
    broken, _ = await findings(dsn)
    assert set(broken) == rules
    assert (key if OWED in rules else "payment ") in broken[OWED if OWED in rules else HELD]
