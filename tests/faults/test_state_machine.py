"""Random sequences of whatever clients, customers, operators and the processor do: what was answered is never taken
back, and afterwards the processor's journal and the ledger agree.

The same few sequences each time. To search longer, with other ones, until the shortest that fails is found:

    STATE_MACHINE_EXAMPLES=300 [STATE_MACHINE_SEED=1] pytest tests/faults/test_state_machine.py

A seed repeats what is asked for; what comes of it also depends on the machine's timing. A failure prints what was done
and answered.
"""

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Coroutine, Generator
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from paysaga.dev.process import Server
from tests.faults.deeds import Deed, Pay, ProcessorFails, Shop
from tests.faults.drawn import (
    AT_ONCE,
    CANCEL,
    CAPTURE,
    CUSTOMER,
    FIRST,
    INTERFERENCE,
    MOMENTS,
    REFUND,
    SIGNAL,
    FirstRequest,
    faults_of,
)
from tests.faults.known_payment import CONFIRMED_BY_CUSTOMER, KnownPayment
from tests.faults.quiet import Ending, assert_one_truth, bring_to_an_end
from tests.harness import new_key, open_stack

EXAMPLES: Final = int(os.environ.get("STATE_MACHINE_EXAMPLES", "0"))
# Whoever changes what is drawn chooses another one with which everything happens.
SEED: Final = int(os.environ.get("STATE_MACHINE_SEED", "0")) or (secrets.randbits(32) if EXAMPLES else 518)
FEW_EXAMPLES: Final = 4
STEPS: Final = 12
PAYMENTS: Final = 5
PAUSES: Final = 1

# Payments fall asleep while others go on, and a reply that is lost is missed soon.
SETTINGS: Final = {"PAYSAGA_QUIET_PERIOD_SECONDS": "1", "PAYSAGA_PROCESSOR_TIMEOUT_SECONDS": "0.6"}

# What must have happened at least once.
EVERYTHING: Final = {
    *("Pay", "PayAnotherAmount", "Capture", "Cancel", "CancelOtherwise", "Refund", "RefundBySignal", "Nonsense"),
    *("Check", "CustomerActs", "Terminate", "Reset", "ProcessorFails", "killed worker", "killed API"),
}


class Payments(RuleBasedStateMachine):
    """Some payments of one shop."""

    payments = Bundle[KnownPayment]("payments")
    # Hypothesis makes the machine; these are given to it before.
    runner: ClassVar[asyncio.Runner]
    open_shop: ClassVar[Shop]
    happened: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop(self.open_shop.stack, self.open_shop.client)
        self.endings: dict[KnownPayment, Ending] = {}
        self.name = new_key("sequence")
        self.kills_left = self.pauses = 0
        self.failed = False

    @initialize(
        target=payments,
        firsts=st.lists(FIRST, min_size=1, max_size=3),
        kills=st.sampled_from([0, 0, 1]),
    )
    def begin(self, firsts: list[FirstRequest], kills: int) -> MultipleResults[KnownPayment]:
        self.kills_left = kills
        return multiple(*(self._pay(first) for first in firsts))

    @precondition(lambda self: len(self.endings) < PAYMENTS)
    @rule(target=payments, first=FIRST)
    def pay(self, first: FirstRequest) -> KnownPayment:
        return self._pay(first)

    @rule(payment=payments, deed=CAPTURE, fault=st.none() | faults_of("capture"))
    def shop_captures(self, payment: KnownPayment, deed: Deed, fault: ProcessorFails | None) -> None:
        self._do(payment, *_some(fault), deed)

    @rule(payment=payments, deed=CANCEL, fault=st.none() | faults_of("void"))
    def shop_cancels(self, payment: KnownPayment, deed: Deed, fault: ProcessorFails | None) -> None:
        self._do(payment, *_some(fault), deed)

    @rule(payment=payments, deed=REFUND, fault=st.none() | faults_of("refund"))
    def shop_refunds(self, payment: KnownPayment, deed: Deed, fault: ProcessorFails | None) -> None:
        self._do(payment, *_some(fault), deed)

    @rule(payment=payments, deed=SIGNAL, fault=st.none() | faults_of("refund"))
    def support_refunds(self, payment: KnownPayment, deed: Deed, fault: ProcessorFails | None) -> None:
        self._do(payment, *_some(fault), deed)

    @precondition(lambda self: any(payment.method == CONFIRMED_BY_CUSTOMER for payment in self.endings))
    @rule(payment=payments, deed=CUSTOMER)
    def customer_acts(self, payment: KnownPayment, deed: Deed) -> None:
        self._do(payment, deed)

    @rule(payment=payments, deed=INTERFERENCE)
    def somebody_interferes(self, payment: KnownPayment, deed: Deed) -> None:
        self._do(payment, deed)

    @rule(payment=payments, deeds=AT_ONCE)
    def all_at_once(self, payment: KnownPayment, deeds: list[Deed]) -> None:
        self._run(self._at_once(payment, deeds))

    @precondition(lambda self: self.kills_left)
    @rule(payment=payments, deeds=AT_ONCE, after=MOMENTS)
    def worker_is_killed_meanwhile(self, payment: KnownPayment, deeds: list[Deed], after: float) -> None:
        self._kill_meanwhile(self.shop.stack.worker, payment, deeds, after)

    @precondition(lambda self: self.kills_left)
    @rule(payment=payments, deeds=AT_ONCE, after=MOMENTS)
    def api_is_killed_meanwhile(self, payment: KnownPayment, deeds: list[Deed], after: float) -> None:
        self._kill_meanwhile(self.shop.stack.api, payment, deeds, after)

    @precondition(lambda self: self.pauses < PAUSES)
    @rule(seconds=st.sampled_from([0.2, 1.2]))
    def time_passes(self, seconds: float) -> None:
        self.pauses += 1
        self._run(asyncio.sleep(seconds))

    def teardown(self) -> None:
        self.happened.update(self.shop.happened)
        if self.failed:
            self.runner.run(_clear_faults(self.shop))
        else:
            self._run(self._end())

    async def _end(self) -> None:
        await bring_to_an_end(self.shop, self.endings)
        await assert_one_truth(self.shop, list(self.endings))

    def _pay(self, first: FirstRequest) -> KnownPayment:
        """With what goes wrong at once."""
        payment = KnownPayment(f"{self.name}-{len(self.endings)}", first.body(self.name))
        self.shop.tell(f"{payment.key}: {payment.body}")
        mates = [other for other in self.endings if first.order and other.order_id == payment.order_id]
        for refused in [*mates, payment] if mates else []:
            refused.permit("failed")
        self.endings[payment] = first.ending
        self._do(payment, *_some(first.fault), Pay(wait=first.wait))
        return payment

    def _do(self, payment: KnownPayment, *deeds: Deed) -> None:
        self._run(self._one_by_one(payment, deeds))

    async def _one_by_one(self, payment: KnownPayment, deeds: tuple[Deed, ...]) -> None:
        for deed in deeds:
            await self.shop.do(deed, payment)
        await self.shop.look(payment)

    async def _at_once(self, payment: KnownPayment, deeds: list[Deed], *more: Coroutine[Any, Any, None]) -> None:
        self.shop.tell("at once:")
        await asyncio.gather(*(self.shop.do(deed, payment) for deed in deeds), *more)
        await self.shop.look(payment)

    def _kill_meanwhile(self, server: Server, payment: KnownPayment, deeds: list[Deed], after: float) -> None:
        self.kills_left -= 1
        self._run(self._at_once(payment, deeds, self._kill(server, after)))

    async def _kill(self, server: Server, after: float) -> None:
        await asyncio.sleep(after)
        await server.kill()
        self.shop.tell(f"{server.name} is killed")
        self.shop.happened[f"killed {server.name}"] += 1
        await server.start()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self.runner.run(work)
        except BaseException as error:
            self.failed = True
            print(f"\nseed {SEED}", *self.shop.story, f"{type(error).__name__}: {error}", sep="\n")
            raise


def _some(fault: ProcessorFails | None) -> tuple[Deed, ...]:
    return () if fault is None else (fault,)


async def _clear_faults(shop: Shop) -> None:
    await shop.stack.processor.delete("/faults")


@pytest.fixture(scope="module")
def runner() -> Generator[asyncio.Runner]:
    """Hypothesis is synchronous, so these tests have a loop of their own. It is in the main thread, which stays as long
    as the processes that were started from it."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Generator[Shop]:
    """A stack that may be broken."""
    exits = AsyncExitStack()

    async def open_shop() -> Shop:
        stack = await exits.enter_async_context(open_stack(tmp_path_factory.mktemp("shop"), env=SETTINGS))
        return Shop(stack, await stack.temporal())

    try:
        yield runner.run(open_shop())
    finally:
        runner.run(exits.aclose())


@pytest.mark.timeout(120 + 60 * EXAMPLES)
def test_no_sequence_takes_an_answer_back_or_money_twice(runner: asyncio.Runner, shop: Shop) -> None:
    Payments.runner, Payments.open_shop = runner, shop
    run_state_machine_as_test(
        seed(SEED)(Payments),
        settings=settings(
            max_examples=EXAMPLES or FEW_EXAMPLES,
            stateful_step_count=STEPS,
            # A sequence takes seconds: shrinking is for those who search.
            phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
            report_multiple_bugs=False,
        ),
    )
    print(dict(Payments.happened))
    if not EXAMPLES:
        assert set(Payments.happened) >= EVERYTHING
