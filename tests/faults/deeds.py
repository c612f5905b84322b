"""What clients, shops, customers, operators and the processor do to a payment, each as a value that can be drawn at
random, printed and done again."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import httpx2
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from payments.messages import Start
from payments.state import CHARGED
from tests.faults.known_payment import KnownPayment
from tests.harness import Stack
from tests.workflow.test_interruptions import reset
from tests.workflow.test_refunds_by_signal import NONSENSE
from workflows import names

# Longer than our deadline for the processor in these tests, or short enough to happen before somebody looks.
SECONDS: Final = {"late_execution": 0.9, "slow": 0.8, "refund_fails_later": 0.3}
# A busy machine may seem down for a moment.
TRIES: Final = 6
RPC_TIMEOUT: Final = timedelta(seconds=5)


class Shop:
    """The real parts, and the story of what was asked and answered."""

    def __init__(self, stack: Stack, client: Client) -> None:
        self.stack = stack
        self.client = client
        self.story: list[str] = []
        self._began = time.monotonic()
        self.happened: Counter[str] = Counter()
        self.unanswered: defaultdict[str, list[Deed]] = defaultdict(list)

    def tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:6.2f} s  {what}")

    async def do(self, deed: "Deed", payment: KnownPayment) -> None:
        self.tell(f"{payment.key}: {deed}")
        self.happened[type(deed).__name__] += 1
        unanswered, again = self.unanswered[payment.key], deed.patient
        if await deed.do(self, payment):
            unanswered[:] = [other for other in unanswered if other != again]
        elif again not in unanswered:
            unanswered.append(again)

    async def look(self, payment: KnownPayment) -> None:
        """Compare what GET shows with what was seen before."""
        reply = await self.ask(payment, self.stack.http.get(f"/v1/payments/{payment.key}"))
        if reply is not None:
            assert reply.status_code == 200, reply.text
            payment.see(reply.json())

    def handle(self, payment: KnownPayment) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(payment.key)

    async def ask(self, payment: KnownPayment, call: Awaitable[httpx2.Response]) -> httpx2.Response | None:
        """The reply; None when there was none, or one that says nothing."""
        try:
            reply = await call
        except httpx2.TransportError as error:
            self.tell(f"  {payment.key}: no reply ({type(error).__name__})")
            return None
        said = reply.json()
        self.tell(f"  {payment.key}: {reply.status_code} {said.get('code', said.get('status'))}")
        if reply.status_code == 404:
            # Terminated before it was written down, or never started.
            assert payment.answer is None, f"{payment.key}: {reply.text}"
            assert payment.terminated or not payment.heard, f"{payment.key}: {reply.text}"
            return None
        return None if reply.status_code == 503 else reply


@dataclass(frozen=True)
class Deed(ABC):
    """One thing that is done."""

    @abstractmethod
    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        """Whether there was an answer. Without one, who wants to know does it again."""

    @property
    def patient(self) -> "Deed":
        """The same by somebody who waits for the answer."""
        return self


@dataclass(frozen=True)
class Request(Deed):
    """A request over HTTP, whose sender waits so long."""

    wait: int = 5

    @property
    def patient(self) -> "Deed":
        return replace(self, wait=5)


@dataclass(frozen=True)
class Pay(Request):
    """The payment's own request, for the first time or again."""

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        before = payment.answer
        reply = await shop.ask(payment, self._persistently(shop, payment))
        if reply is not None:
            payment.hear_payment(reply, before)
        return payment.answer is not None

    async def _persistently(self, shop: Shop, payment: KnownPayment) -> httpx2.Response:
        """Nothing that is needed for an answer is ever down for long, so that nobody is told so again and again."""
        for _ in range(TRIES):
            reply = await shop.stack.pay(payment.key, wait=self.wait, **payment.body)
            if reply.status_code != 503:
                return reply
            await asyncio.sleep(float(reply.headers["Retry-After"]))
        raise AssertionError(f"{payment.key}: no answer in {TRIES} tries")


@dataclass(frozen=True)
class PayAnotherAmount(Deed):
    """Another request under the same key."""

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        if payment.heard:
            other = payment.body | {"amount": payment.body["amount"] + 1}
            reply = await shop.ask(payment, shop.stack.pay(payment.key, wait=2, **other))
            if reply is not None:
                payment.hear_another_request(reply)
        return True


@dataclass(frozen=True)
class Capture(Request):
    """Of a part of what is held (in percent), or of all."""

    key: str = "ship"
    percent: int | None = None

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        amount, before = payment.part(self.percent), payment.captured_by
        payment.captures[self.key].add(amount)
        if payment.is_manual and (self.percent or 0) <= 100:
            payment.permit(payment.end_of_capture)
        call = shop.stack.capture(payment.key, self.key, wait=self.wait, **_fields(amount))
        reply = await shop.ask(payment, call)
        if reply is not None:
            payment.hear_capture(self.key, amount, reply, before)
        return _is_answer(reply)


@dataclass(frozen=True)
class Cancel(Request):
    """Over HTTP."""

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        before = payment.status
        payment.permit("canceled")
        reply = await shop.ask(payment, shop.stack.cancel(payment.key, wait=self.wait))
        if reply is not None:
            payment.hear_cancel(reply, before)
        return _is_answer(reply)


@dataclass(frozen=True)
class CancelOtherwise(Deed):
    """By signal, or with Temporal's own cancellation."""

    by_signal: bool

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        payment.permit("canceled")
        with suppress(RPCError):  # closed, or not started yet
            if self.by_signal:
                await shop.handle(payment).signal("cancel", rpc_timeout=RPC_TIMEOUT)
            else:
                await shop.handle(payment).cancel(rpc_timeout=RPC_TIMEOUT)
        return True


@dataclass(frozen=True)
class Refund(Request):
    """Of a part of what was asked for (in percent), or of all that is left."""

    refund_id: str = "r"
    percent: int | None = None

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        amount = payment.part(self.percent)
        before = payment.refund_answer(self.refund_id, amount)
        payment.refunds[self.refund_id].add(amount)
        call = shop.stack.refund(payment.key, self.refund_id, wait=self.wait, **_fields(amount))
        reply = await shop.ask(payment, call)
        if reply is not None:
            payment.hear_refund(self.refund_id, amount, reply, before)
            if reply.json().get("code") == "refund_exceeds_refundable":
                payment.check_refusal(await shop.stack.get(payment.key))
        return _is_answer(reply)


@dataclass(frozen=True)
class RefundBySignal(Deed):
    """The same by a person or a program that wants no answer; `wakes`: also if the payment sleeps."""

    refund_id: str
    percent: int | None
    wakes: bool

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        amount = payment.part(self.percent)
        payment.refunds[self.refund_id].add(amount)
        if await _signal(shop, payment, {"refund_id": self.refund_id} | _fields(amount), wakes=self.wakes):
            payment.signaled.add(self.refund_id)
        return True


@dataclass(frozen=True)
class Nonsense(Deed):
    """What is no refund request, sent as one."""

    number: int
    wakes: bool

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        await _signal(shop, payment, NONSENSE[self.number], wakes=self.wakes)
        return True


@dataclass(frozen=True)
class Check(Deed):
    """What a webhook comes to."""

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        if payment.is_recorded:
            await shop.stack.check(payment.key)
        return True


@dataclass(frozen=True)
class CustomerActs(Deed):
    """Confirms at the bank or gives up; `late`: the bank takes it although it is over."""

    confirms: bool
    late: bool = False

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        if payment.next_action is None:
            return True
        if not self.confirms:
            payment.permit("declined")
        elif not payment.is_manual:
            payment.permit("charged")
        more = {"late": True} if self.confirms and self.late else {}
        result = "confirm" if self.confirms else "abandon"
        reply = await shop.stack.act({"next_action": payment.next_action}, result, **more)
        shop.tell(f"  the bank: {reply.status_code}")
        assert reply.status_code in {200, 409}, reply.text
        return True


@dataclass(frozen=True)
class Terminate(Deed):
    """Somebody ends the workflow in Temporal."""

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        payment.terminated = True
        with suppress(RPCError):
            await shop.handle(payment).terminate("by mistake", rpc_timeout=RPC_TIMEOUT)
        return True


@dataclass(frozen=True)
class Reset(Deed):
    """Somebody sets the workflow back to its first task."""

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        if payment.refund_signals_are_sent:
            return True
        payment.was_reset = True
        # RuntimeError: it has done no task yet.
        with suppress(RPCError, RuntimeError):
            await reset(shop.client, payment.key)
        return True


@dataclass(frozen=True)
class ProcessorFails(Deed):
    """The processor's next request for this operation of the payment goes wrong."""

    operation: str
    fault: str

    async def do(self, shop: Shop, payment: KnownPayment) -> bool:
        if self.fault == "refund_fails_later":
            payment.refunds_may_fail_later = True
        elif self.operation == "refund" and self.fault == "decline":
            # Nobody but a person can help when the refund of an undoing is declined.
            if payment.status not in CHARGED:
                return True
            payment.refunds_may_be_declined = True
        elif self.operation in {"authorize", "capture"} and self.fault in {"decline", "wrong_amount"}:
            payment.permit("declined" if self.fault == "decline" else "failed")
        seconds = {"seconds": SECONDS[self.fault]} if self.fault in SECONDS else {}
        await shop.stack.fault(self.fault, payment_id=payment.key, operation=self.operation, **seconds)
        return True


async def _signal(shop: Shop, payment: KnownPayment, message: Any, *, wakes: bool) -> bool:
    """Whether Temporal has taken it."""
    # Not both: a run that was reset takes updates before signals when it is executed, and after them when it is
    # replayed, so that it can't go on with another worker.
    if payment.was_reset:
        return False
    payment.refund_signals_are_sent = True
    try:
        if wakes and payment.is_recorded:
            await shop.client.start_workflow(  # pyright: ignore[reportUnknownMemberType]
                "PaymentWorkflow",
                Start(),
                id=payment.key,
                task_queue=names.TASK_QUEUE,
                start_signal="request_refund",
                start_signal_args=[message],
                rpc_timeout=RPC_TIMEOUT,
            )
        else:
            await shop.handle(payment).signal("request_refund", message, rpc_timeout=RPC_TIMEOUT)
    except RPCError:  # closed, or not started yet
        return False
    return True


def _fields(amount: int | None) -> dict[str, Any]:
    return {} if amount is None else {"amount": amount}


def _is_answer(reply: httpx2.Response | None) -> bool:
    return reply is not None and reply.status_code != 202
