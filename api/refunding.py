"""Asks for a refund; what the payment's workflow doesn't tell, the ledger does."""

import secrets
from dataclasses import dataclass
from typing import Final

from api.asking import Asking
from api.calling import Deadline, read
from api.problems import Code, FieldError, ProblemError, temporal_unavailable
from ledger.port import Ledger, PaymentRecord, RefundRecord
from payments.messages import RefundAnswer, RequestRefund
from payments.payment import Refund, RefundStatus
from payments.refunds import RefundRefusal, RefundRequest, refusal_of
from payments.state import CHARGED, PaymentStatus


@dataclass(frozen=True)
class Ended:
    """The refund succeeded or failed."""

    refund: Refund
    replayed: bool


@dataclass(frozen=True)
class Pending:
    """The refund is reserved and goes on."""

    refund: Refund


class Refunds:
    """What the API does with refunds."""

    def __init__(self, asking: Asking, ledger: Ledger) -> None:
        self._asking = asking
        self._ledger = ledger

    async def refund(
        self, record: PaymentRecord, refund_id: str, request: RefundRequest, wait_seconds: float
    ) -> Ended | Pending:
        """Refund the payment once under this id, or find what became of it.

        Raises `ProblemError` when it can't be refunded, the id belongs to another request, or nothing can be said of
        it; and `LedgerUnavailable`.
        """
        known = await self._known(record.payment.id, refund_id, request)
        if known is not None and known.refund.status is not RefundStatus.PENDING:
            return Ended(known.refund, replayed=True)
        if known is None and record.payment.status not in CHARGED and not _is_going_on(record):
            # It can't be charged any more, or not without another request: nothing to wait for.
            refusal = refusal_of(record.payment, request.amount, 0)
            raise ProblemError(Code.PAYMENT_NOT_REFUNDABLE, refusal.message if refusal else "It can't be refunded.")
        sent = RequestRefund(
            refund_id=refund_id, amount=request.amount, reason=request.reason, nonce=secrets.token_hex(8)
        )
        # With the body in it: Temporal answers a repeated ID with the first answer, whatever comes along.
        name = f"refund\n{refund_id}\n{request.fingerprint()}"
        deadline = Deadline(wait_seconds)
        answer = await self._asking.ask(record, "request_refund", sent, name, RefundAnswer, deadline)
        if answer is not None:
            if answer.fingerprint != request.fingerprint():
                raise _reused(answer.refund, request)
            return Ended(answer.refund, replayed=answer.nonce != sent.nonce)
        known = await self._known(record.payment.id, refund_id, request)
        if known is None:
            raise temporal_unavailable()
        is_pending = known.refund.status is RefundStatus.PENDING
        return Pending(known.refund) if is_pending else Ended(known.refund, replayed=False)

    async def _known(self, payment_id: str, refund_id: str, request: RefundRequest) -> RefundRecord | None:
        """The refund of this id. Raises `ProblemError` when it belongs to another request."""
        known = await read(self._ledger.find_refund(payment_id, refund_id))
        if known is not None and known.fingerprint != request.fingerprint():
            raise _reused(known.refund, request)
        return known


def _is_going_on(record: PaymentRecord) -> bool:
    """Whether it may be charged at any moment. What waits for somebody may take days."""
    return record.payment.status is PaymentStatus.PROCESSING


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
