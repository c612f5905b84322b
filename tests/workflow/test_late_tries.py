"""A try that was thought lost comes back late: it finds the payment decided, or being undone, and changes nothing."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.payment import PaymentActivities
from activities.undoing import UndoingActivities
from gateways.port import PaymentGateway
from gateways.sandbox.gateway import open_sandbox_gateway
from ledger.connections import open_pool
from ledger.port import Claim, Ledger, LedgerRefused
from ledger.postgres import PostgresLedger
from payments.endings import canceled, not_recordable
from payments.messages import Charged, Held, Reserve, Undo
from payments.operations import Executed
from payments.request import PaymentRequest, RecordedRequest
from tests.harness import Servers, Stack, a_request, new_key


class Steps:
    """The activities of one payment, run by hand and in any order."""

    def __init__(self, gateway: PaymentGateway, ledger: Ledger) -> None:
        self.ledger = ledger
        self.environment = ActivityEnvironment()
        steps, undoing = PaymentActivities(gateway, ledger), UndoingActivities(gateway, ledger)
        self.activities: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "reserve": steps.reserve,
            "charge": steps.charge,
            "record": steps.record,
            "release": undoing.release,
            "undo_charge": undoing.undo_charge,
        }

    async def run(self, name: str, argument: Any) -> Any:
        return await self.environment.run(self.activities[name], argument)


@pytest_asyncio.fixture
async def steps(servers: Servers) -> Any:
    pool = await open_pool(servers.postgres.dsn, 2)
    async with open_sandbox_gateway(servers.sandbox.url, timeout_seconds=5, key_window=timedelta(days=1)) as gateway:
        yield Steps(gateway, PostgresLedger(pool))
    await pool.close()


async def reserved(steps: Steps, key: str) -> Held:
    request = PaymentRequest.model_validate(a_request())
    return cast("Held", await steps.run("reserve", Reserve(payment_id=key, request=request, first_run="first")))


async def charged(steps: Steps, key: str) -> Charged:
    held = await reserved(steps, key)
    return Charged(held=held, charge=cast("Executed", await steps.run("charge", held)))


async def test_payment_that_a_late_try_recorded_is_not_refunded(steps: Steps, stack: Stack) -> None:
    key = new_key()
    done = await charged(steps, key)
    await steps.run("record", done)
    payment = await steps.run("undo_charge", Undo(held=done.held, ending=not_recordable("thought lost")))
    assert payment.status == "succeeded"
    payment = await steps.run("release", Undo(held=done.held, ending=not_recordable("thought lost")))
    assert payment.status == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_late_try_to_record_is_refused_once_the_undoing_has_begun(steps: Steps, stack: Stack) -> None:
    key = new_key()
    done = await charged(steps, key)
    await steps.ledger.begin_undoing(key, not_recordable("refused"))
    with pytest.raises(Exception, match="undone_never_succeeds") as refusal:
        await steps.run("record", done)
    assert not isinstance(refusal.value, LedgerRefused)
    payment = await steps.run("undo_charge", Undo(held=done.held, ending=not_recordable("refused")))
    assert (payment.status, payment.amount_refunded) == ("failed", 4990)
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)


async def test_release_of_a_hold_that_an_earlier_run_has_charged_gives_the_charge_back(
    steps: Steps, stack: Stack
) -> None:
    key = new_key()
    done = await charged(steps, key)
    payment = await steps.run("release", Undo(held=done.held, ending=canceled("client")))
    assert (payment.status, payment.amount_captured, payment.amount_refunded) == ("failed", 4990, 4990)
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)


async def test_release_of_a_hold_that_somebody_else_released_ends(steps: Steps, stack: Stack) -> None:
    key = new_key()
    held = await reserved(steps, key)
    body = {"payment_id": key, "authorization": held.hold.reference, "amount": 4990, "currency": "EUR"}
    reply = await stack.processor.post("/v1/voids", json=body, headers={"Idempotency-Key": new_key("by-hand")})
    assert reply.status_code == 200
    payment = await steps.run("release", Undo(held=held, ending=canceled("client")))
    assert payment.status == "canceled"
    assert await stack.journal_operations(key) == ["authorize", "void"]


async def test_charge_is_looked_up_before_it_is_sent(steps: Steps, stack: Stack) -> None:
    key = new_key()
    done = await charged(steps, key)
    # Would hit a request to charge; a look-up doesn't meet it.
    await stack.fault("unavailable", payment_id=key, operation="capture")
    found = await steps.run("charge", done.held)
    assert found == done.charge
    assert await stack.journal_operations(key) == ["authorize", "capture"]


async def test_every_step_repeated_after_the_end_moves_nothing(steps: Steps, stack: Stack) -> None:
    key = new_key()
    done = await charged(steps, key)
    first = await steps.run("record", done)
    again = await charged_again(steps, key, done)
    assert again == first
    assert len(await stack.journal(key)) == 2
    await stack.assert_books_agree(key)


async def charged_again(steps: Steps, key: str, done: Charged) -> Any:
    decided = await steps.run("reserve", Reserve(payment_id=key, request=done.held.request, first_run="another"))
    assert decided.payment.status == "succeeded"
    await steps.run("charge", done.held)
    return await steps.run("record", done)


async def test_undoing_repeated_after_the_payment_failed_pays_nothing_out(steps: Steps, stack: Stack) -> None:
    key = new_key()
    done = await charged(steps, key)
    undo = Undo(held=done.held, ending=not_recordable("refused"))
    first = await steps.run("undo_charge", undo)
    assert (first.status, first.amount_refunded, first.amount_refundable) == ("failed", 4990, 0)
    for step, argument in (("undo_charge", undo), ("release", undo), ("record", done)):
        assert await steps.run(step, argument) == first
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)


async def test_payment_claimed_under_other_rules_is_finished(steps: Steps, stack: Stack) -> None:
    key = new_key()
    # Today a customer is one line.
    request = RecordedRequest.model_validate(a_request(customer="two\nlines"))
    step = Reserve(payment_id=key, request=request, first_run="first")
    with pytest.raises(ApplicationError, match="customer"):
        await steps.run("reserve", step)
    assert await steps.ledger.find(key) is None
    await steps.ledger.claim(Claim(payment_id=key, request=request, processor="sandbox", run="first"))
    held = await steps.run("reserve", step)
    assert held.request.customer == "two\nlines"
    assert await stack.journal_operations(key) == ["authorize"]
