"""Each moment of a payment that has a name is reached when it is struck, and the payment is charged once all the same.

One stack, one payment for each. Those that strike a process follow one another, so that no strike is meant for two;
their payments end at the same time, most of which goes by until Temporal takes a task from a worker that is dead.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from payments.identifiers import OperationKind
from payments.identifiers import operation_key as real_operation_key
from prove.moments import Point
from prove.points import operation_key, points_of, points_of_refund
from tests.faults.linked import Linked, open_linked
from tests.harness import Stack, new_key

# All moments are struck before the first test: half a minute, and several times that on a busy machine.
pytestmark = pytest.mark.timeout(300)

POINTS = points_of("payment")
REFUND_POINTS = points_of_refund("payment", "refund")
# What the processor has charged in another currency, as it says, is given back.
GIVEN_BACK = {"other_currency"}
SECONDS_UNTIL_DECIDED = 60


@dataclass
class Struck:
    """What came of the moments."""

    stack: Stack
    keys: dict[str, str] = field(default_factory=dict[str, str])
    reached: dict[str, bool] = field(default_factory=dict[str, bool])
    exit_codes: dict[str, int] = field(default_factory=dict[str, int])


@pytest_asyncio.fixture(scope="module")
async def struck(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Struck]:
    """Every moment has come and gone, and everything is decided."""
    async with open_linked(tmp_path_factory.mktemp("moments")) as linked:
        stack = linked.stack
        struck = Struck(stack, {name: new_key(name.replace("_", "-")) for name in (*POINTS, *REFUND_POINTS)})
        charged = [struck.keys[name] for name in REFUND_POINTS]
        await asyncio.gather(*(stack.pay(key, wait=30) for key in charged))
        await asyncio.gather(*(_pay(linked, struck, name) for name in POINTS if POINTS[name].target is None))
        for target in ("worker", "postgres", "api"):
            for name in (name for name in POINTS if POINTS[name].target == target):
                await _pay(linked, struck, name)
                if target != "worker":
                    # There is no other to go on.
                    await linked.all_up()
        await linked.all_up()
        for name in REFUND_POINTS:
            await _refund(linked, struck, name)
        await linked.all_up()
        await asyncio.gather(*(stack.pay_persistently(struck.keys[name], wait=40) for name in POINTS))
        await asyncio.gather(*(stack.refund_persistently(key, "return", wait=40) for key in charged))
        struck.exit_codes = linked.exit_codes
        yield struck


async def _pay(linked: Linked, struck: Struck, name: str) -> None:
    key = struck.keys[name]
    # Who would strike the API waits for the answer, so that there is something to miss.
    waits = 30 if POINTS[name].target == "api" else 0
    struck.reached[name] = await linked.meets(points_of(key)[name], linked.stack.pay(key, wait=waits))


async def _refund(linked: Linked, struck: Struck, name: str) -> None:
    key = struck.keys[name]
    point = points_of_refund(key, "return")[name]
    struck.reached[name] = await linked.meets(point, linked.stack.refund(key, "return", wait=0))


@pytest.mark.parametrize("name", POINTS)
async def test_payment_struck_at_this_moment_is_charged_once(struck: Struck, name: str) -> None:
    key = struck.keys[name]
    assert struck.reached[name]
    payment = await struck.stack.get(key)
    ended = (
        ("failed", ["authorize", "capture", "refund"])
        if name in GIVEN_BACK
        else ("succeeded", ["authorize", "capture"])
    )
    assert (payment["status"], await struck.stack.journal_operations(key)) == ended
    await struck.stack.assert_books_agree(key)


@pytest.mark.parametrize("name", REFUND_POINTS)
async def test_refund_struck_at_this_moment_is_made_once(struck: Struck, name: str) -> None:
    key = struck.keys[name]
    assert struck.reached[name]
    payment = await struck.stack.get(key)
    assert payment["status"] == "refunded"
    assert await struck.stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await struck.stack.assert_books_agree(key)


@pytest.mark.parametrize("point", [*POINTS.values(), *REFUND_POINTS.values()], ids=lambda point: point.name)
async def test_whom_a_moment_is_meant_for_has_ended_by_it(struck: Struck, point: Point) -> None:
    expected = None if point.target is None else 0 if point.gently else -signal.SIGKILL
    assert struck.exit_codes.get(point.name) == expected


@pytest.mark.parametrize("operation", [OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.REFUND])
def test_operation_keys_of_the_campaign_are_those_of_the_service(operation: OperationKind) -> None:
    assert operation_key(operation, "payment") == real_operation_key(operation, "payment")
    assert operation_key(operation, "payment", "ré") == real_operation_key(operation, "payment", refund_id="ré")
