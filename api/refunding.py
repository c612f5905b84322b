"""Asks a payment's workflow for a refund, waking it if it sleeps; what it doesn't tell, the ledger does."""

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Final

import structlog
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import FailureType
from api.calling import Deadline, read, retrieve, within
from api.looking import Looking
from api.opening import start_input, start_options, wake_options
from api.problems import Code, FieldError, ProblemError, temporal_unavailable
from ledger.port import Ledger, PaymentRecord, RefundRecord
from payments.messages import RefundAnswer, RequestRefund, Start
from payments.payment import Refund, RefundStatus
from payments.refunds import RefundRefusal, RefundRequest, refusal_of
from payments.state import CHARGED

# A run that ends takes milliseconds to do so; the next one takes the request.
_NEXT_RUN_SECONDS: Final = 0.05

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Ended:
    """The refund succeeded or failed."""

    refund: Refund
    replayed: bool


@dataclass(frozen=True)
class Pending:
    """The refund is reserved and goes on."""

    refund: Refund


class _Again(Enum):
    """The run that was asked has ended without an answer."""

    AGAIN = auto()


class Refunds:
    """What the API does with refunds."""

    def __init__(self, client: Client, ledger: Ledger, quiet_period: timedelta) -> None:
        self._client = client
        self._ledger = ledger
        self._looking = Looking(client)
        self._quiet_period = quiet_period

    async def refund(
        self, record: PaymentRecord, refund_id: str, request: RefundRequest, wait_seconds: float
    ) -> Ended | Pending:
        """Refund the payment once under this id, or find what became of it.

        Raises `ProblemError` when it can't be refunded, the id belongs to another request, or nothing can be said of
        it; and `LedgerUnavailable`.
        """
        deadline = Deadline(wait_seconds)
        known = await self._known(record.payment.id, refund_id, request)
        if known is not None and known.refund.status is not RefundStatus.PENDING:
            return Ended(known.refund, replayed=True)
        if known is None and record.answer is not None and record.payment.status not in CHARGED:
            # It can't be charged any more, or not without another request: nothing to wait for.
            refusal = refusal_of(record.payment, request.amount, 0)
            raise ProblemError(Code.PAYMENT_NOT_REFUNDABLE, refusal.message if refusal else "It can't be refunded.")
        sent = RequestRefund(
            refund_id=refund_id, amount=request.amount, reason=request.reason, nonce=secrets.token_hex(8)
        )
        while True:
            answer = await within(deadline, self._looking, self._ask(record, sent))
            if isinstance(answer, RefundAnswer):
                if answer.fingerprint != request.fingerprint():
                    raise _reused(answer.refund, request)
                return Ended(answer.refund, replayed=answer.nonce != sent.nonce)
            if answer is None or not deadline.seconds_left:
                known = await self._known(record.payment.id, refund_id, request)
                if known is None:
                    raise temporal_unavailable()
                is_pending = known.refund.status is RefundStatus.PENDING
                return Pending(known.refund) if is_pending else Ended(known.refund, replayed=False)
            await asyncio.sleep(_NEXT_RUN_SECONDS)

    async def _known(self, payment_id: str, refund_id: str, request: RefundRequest) -> RefundRecord | None:
        """The refund of this id. Raises `ProblemError` when it belongs to another request."""
        known = await read(self._ledger.find_refund(payment_id, refund_id))
        if known is not None and known.fingerprint != request.fingerprint():
            raise _reused(known.refund, request)
        return known

    async def _ask(self, record: PaymentRecord, sent: RequestRefund) -> RefundAnswer | _Again | None:
        """One call: Update-with-Start, which joins the run that is open, or wakes the payment."""
        if record.answer is None:
            reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE
            start, options = start_input(record.request, reuse, self._quiet_period), start_options(record.request)
        else:
            start, options = Start(quiet_seconds=int(self._quiet_period.total_seconds())), wake_options(record.request)
        operation: WithStartWorkflowOperation[object, object] = WithStartWorkflowOperation(
            "PaymentWorkflow",
            start,
            id=record.payment.id,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            **options,
        )
        # With the body in it: Temporal answers a repeated ID with the first answer, whatever comes along.
        update_id = hashlib.sha256(f"{sent.refund_id}\n{sent.fingerprint()}".encode()).hexdigest()
        try:
            answer: RefundAnswer = await self._client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType]
                "request_refund", sent, id=update_id, start_workflow_operation=operation, result_type=RefundAnswer
            )
        except (WorkflowAlreadyStartedError, WorkflowUpdateFailedError, RPCError, RuntimeError) as error:
            return _no_answer(error)
        finally:
            await retrieve(operation)
        return answer


def _no_answer(error: Exception) -> _Again | None:
    """What it means that Temporal gave no answer. Raises `ProblemError` when Temporal is down."""
    match error:
        case WorkflowUpdateRPCTimeoutOrCancelledError():
            return None
        case WorkflowUpdateFailedError(cause=ApplicationError(type=FailureType.MALFORMED)):
            raise error  # a bug of ours: no retry will help
        # It ended before it answered: asleep, terminated or reset.
        case WorkflowAlreadyStartedError() | WorkflowUpdateFailedError():
            return _Again.AGAIN
        case RPCError() if "closing workflow" in str(error):
            return _Again.AGAIN
        case RPCError(status=RPCStatusCode.INVALID_ARGUMENT):
            raise error
        case _:
            _log.warning("temporal_unavailable", error=str(error))
            raise temporal_unavailable() from error


def _reused(first: Refund, request: RefundRequest) -> ProblemError:
    name = "reason" if first.reason != request.reason else "amount"
    return ProblemError(
        Code.IDEMPOTENCY_KEY_REUSED,
        "This Idempotency-Key was used for another refund of this payment; nothing was refunded for this one. Repeat "
        f"the first request, or choose a new key for another refund. What differs: {name}.",
        errors=[FieldError(pointer=f"/{name}", detail="differs from the first request")],
    )


REFUSAL_CODES: Final = {
    RefundRefusal.NOT_REFUNDABLE.value: Code.PAYMENT_NOT_REFUNDABLE,
    RefundRefusal.EXCEEDS_REFUNDABLE.value: Code.REFUND_EXCEEDS_REFUNDABLE,
}
"""Which problem a refund that we refused is, for ever."""
