"""Refund requests of one payment, by update and by signal alike: each id once, a few at a time."""

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.options import UNTIL_KNOWN
    from activities.refunding import RefundActivities
    from payments.identifiers import refund_activity_id
    from payments.messages import Refunded, RefundOrder, Requester, RequestRefund
    from payments.money import Money
    from payments.payment import Failure, Payment, Refund
    from payments.refunds import REFUSALS_MAX, RefundRefusal, is_refused, refusal_of
    from workflows.messages import decode

# Temporal takes 2,000 pending activities of a workflow and fails its task beyond; the processor wants far fewer.
AT_ONCE: Final = 8
# Ids are up to 255 characters, a summary is one line.
_ID_SHOWN: Final = 60


class Refunding:
    """What a payment's run knows of its refunds. The ledger decides each: this only keeps them in order."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._begun: dict[str, str] = {}
        self._done: dict[str, Refunded] = {}
        self._resumed: list[asyncio.Task[object]] = []
        self.refusals: list[Refund] = []

    @property
    def resuming(self) -> bool:
        """Whether a refund is under way that no message of this run has asked for."""
        return not all(task.done() for task in self._resumed)

    def resume(self, refund: Coroutine[Any, Any, object]) -> None:
        """Finish a refund that an earlier run has begun, beside those that are asked for now."""
        self._resumed.append(asyncio.create_task(refund))

    async def refund(self, order: RefundOrder, payment: Payment) -> tuple[Refunded, str]:
        """The refund of this id, made now or before, and the nonce of who asked for it first."""
        while order.refund_id not in self._done:
            # Two activities of one ID can't be pending, and the second would only be told of the first.
            if order.refund_id in self._begun:
                await workflow.wait_condition(lambda: not self._is_under_way(order.refund_id))
            elif (refused := self._refused_here(order, payment)) is not None:
                return Refunded(refund=refused, fingerprint=order.fingerprint, payment=payment), order.nonce
            else:
                await self._begin(order, payment.currency)
        return self._done[order.refund_id], self._begun[order.refund_id]

    def _refused_here(self, order: RefundOrder, payment: Payment) -> Refund | None:
        """Once as many were refused as the books take, a flood of more must not fill the workflow's history, either."""
        if len(self.refusals) < REFUSALS_MAX:
            return None
        failure = order.refused or refusal_of(payment, order.amount, 0)
        return failure and order.refused_for(failure, payment.currency, workflow.now())

    def _is_under_way(self, refund_id: str) -> bool:
        return refund_id in self._begun and refund_id not in self._done

    async def _begin(self, order: RefundOrder, currency: str) -> None:
        self._begun[order.refund_id] = order.nonce
        try:
            async with self._slots:
                done = await workflow.execute_activity_method(
                    RefundActivities.refund,
                    order,
                    activity_id=refund_activity_id(order.refund_id),
                    summary=_summary(order, currency),
                    **UNTIL_KNOWN,
                )
            self._done[order.refund_id] = done
            if is_refused(done.refund):
                self.refusals.append(done.refund)
        finally:
            if order.refund_id not in self._done:
                del self._begun[order.refund_id]


def order_of(raw: RawValue, requested_by: Requester) -> RefundOrder:
    """What is asked for. Raises `ApplicationError` of type Malformed."""
    request = decode(raw, RequestRefund)
    return RefundOrder(
        payment_id=workflow.info().workflow_id,
        refund_id=request.refund_id,
        fingerprint=request.fingerprint(),
        amount=request.amount,
        reason=request.reason,
        requested_by=requested_by,
        nonce=request.nonce,
    )


def order_by_signal(raw: RawValue) -> RefundOrder:
    """The same, of a sender who gets no answer: what can't be read becomes a refused refund, where people look."""
    try:
        return order_of(raw, "operator")
    except ApplicationError as error:
        # The same nonsense sent again is the same refused refund. Its own id stays free for one that makes sense.
        digest = hashlib.sha256(raw.payload.data).hexdigest()
        message = f"{error.message}. Nothing was refunded."
        return RefundOrder(
            payment_id=workflow.info().workflow_id,
            refund_id=f"malformed-{digest[:24]}",
            fingerprint=digest,
            requested_by="operator",
            refused=Failure(code=RefundRefusal.MALFORMED, message=message),
        )


def resumed(refund_id: str) -> RefundOrder:
    """A refund that an earlier run has reserved: the ledger knows the rest of it."""
    return RefundOrder(
        payment_id=workflow.info().workflow_id, refund_id=refund_id, fingerprint="", requested_by="client"
    )


def _summary(order: RefundOrder, currency: str) -> str:
    if order.refused is not None:
        return "write down a refund request that can't be read"
    what = "what is left" if order.amount is None else str(Money(amount=order.amount, currency=currency))
    return f"refund {what}: {order.refund_id[:_ID_SHOWN]}"
