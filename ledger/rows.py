"""Turns rows of `payments` into what the port speaks of. Pure."""

from datetime import UTC, datetime

import asyncpg
from pydantic import BaseModel, TypeAdapter

from ledger.port import Decision, LedgerUnavailable, PaymentRecord
from payments.captures import capture_before
from payments.identifiers import OperationKind
from payments.messages import CaptureOrder, Ending
from payments.operations import Executed, RequiresAction
from payments.payment import Failure, NextAction, Payment, Refund, RefundStatus, UnknownOutcome, processing_payment
from payments.request import RecordedRequest
from payments.state import PaymentStatus


def present(row: asyncpg.Record | None, payment_id: str) -> asyncpg.Record:
    """The row. Raises `LedgerUnavailable` when there is none."""
    if row is None:
        # Not a refusal: a lost row (a backup that was restored?) is no reason to undo a charge.
        raise LedgerUnavailable(f"there is no row for payment {payment_id!r}; was an old backup restored?")
    return row


def record_of(row: asyncpg.Record, *, claimed_now: bool = False) -> PaymentRecord:
    """The permanent row, with the payment as it stands."""
    request = RecordedRequest.model_validate_json(row["request"])
    return PaymentRecord(
        payment=_payment_of(row, request),
        request=request,
        fingerprint=row["fingerprint"],
        first_run=row["first_run"],
        claimed_at=row["created_at"],
        claimed_now=claimed_now,
        undoing=row["undoing"] and Ending.model_validate_json(row["undoing"]),
        hold=_hold_of(row),
        capturing=row["capturing"] and CaptureOrder.model_validate_json(row["capturing"]),
        action_ended_at=row["action_ended_at"],
        late_releases=row["late_releases"],
        late_refunds=row["late_refunds"],
        answer=row["answer"] and Payment.model_validate_json(row["answer"]),
    )


def _hold_of(row: asyncpg.Record) -> Executed | None:
    if row["hold_reference"] is None:
        return None
    return Executed(
        reference=row["hold_reference"],
        payment_id=row["id"],
        amount=row["amount_authorized"],
        currency=row["currency"],
        expires_at=row["hold_expires_at"],
    )


def _next_action_of(row: asyncpg.Record) -> NextAction | None:
    if row["status"] != PaymentStatus.REQUIRES_ACTION:
        return None
    action = RequiresAction.model_validate_json(row["next_action"])
    return NextAction(url=action.url, expires_at=action.expires_at)


def _payment_of(row: asyncpg.Record, request: RecordedRequest) -> Payment:
    unknown = row["unknown_operation"] and UnknownOutcome(
        operation=row["unknown_operation"], since=row["unknown_since"], next_check_at=row["unknown_next_check"]
    )
    return processing_payment(row["id"], request, row["created_at"]).model_copy(
        update={
            "status": PaymentStatus(row["status"]),
            "amount_authorized": row["amount_authorized"],
            "amount_captured": row["amount_captured"],
            "amount_refunded": row["amount_refunded"],
            "amount_refundable": row["amount_captured"] - row["amount_refunded"] - row["amount_refunding"],
            "processor": row["processor"],
            "processor_reference": row["processor_reference"],
            "capture_before": capture_before(row["hold_expires_at"]) if row["status"] == "authorized" else None,
            "next_action": _next_action_of(row),
            "failure": row["failure_code"] and Failure(code=row["failure_code"], message=row["failure_message"]),
            "outcome_unknown": unknown or None,
            "conflicted": row["conflicted"],
            "updated_at": row["updated_at"],
        }
    )


class _RefundRow(BaseModel):
    """A row of `refunds` as `to_jsonb` writes it."""

    payment_id: str
    id: str
    amount: int
    currency: str
    reason: str | None
    status: RefundStatus
    failure_code: str | None
    failure_message: str | None
    processor_reference: str | None
    unknown_since: datetime | None
    unknown_next_check: datetime | None
    created_at: datetime
    updated_at: datetime

    def refund(self) -> Refund:
        failure = None
        if self.failure_code is not None and self.failure_message is not None:
            failure = Failure(code=self.failure_code, message=self.failure_message)
        unknown = None
        if self.unknown_since is not None and self.unknown_next_check is not None:
            unknown = UnknownOutcome(
                operation=OperationKind.REFUND, since=self.unknown_since, next_check_at=self.unknown_next_check
            )
        return Refund(
            id=self.id,
            payment_id=self.payment_id,
            amount=self.amount,
            currency=self.currency,
            status=self.status,
            reason=self.reason,
            failure=failure,
            processor_reference=self.processor_reference,
            outcome_unknown=unknown,
            created_at=self.created_at.astimezone(UTC),
            updated_at=self.updated_at.astimezone(UTC),
        )


def refund_of(row: asyncpg.Record) -> Refund:
    """One refund, of a query that gives it as JSON."""
    return _RefundRow.model_validate_json(row["refund"]).refund()


_REFUND_ROWS = TypeAdapter(list[_RefundRow])


def whole_payment_of(row: asyncpg.Record) -> Payment:
    """The payment with its refunds, of a query that gives both."""
    refunds = tuple(refund.refund() for refund in _REFUND_ROWS.validate_json(row["refunds"]))
    return record_of(row).payment.model_copy(update={"refunds": refunds})


def decided(payment: Payment, decision: Decision, now: datetime) -> Payment:
    """The payment as the decision leaves it."""
    # A processor that charged another currency than it was asked for is undone in the books, not in these amounts.
    own = [movement for movement in decision.movements if movement.money.currency == payment.currency]
    captured = sum(movement.money.amount for movement in own if movement.operation is OperationKind.CAPTURE)
    refunded = sum(movement.money.amount for movement in own if movement.operation is OperationKind.REFUND)
    return payment.model_copy(
        update={
            "status": decision.status,
            "amount_authorized": decision.amount_authorized,
            "amount_captured": captured,
            "amount_refunded": refunded,
            "amount_refundable": captured - refunded,
            "processor_reference": decision.processor_reference,
            "capture_before": capture_before(decision.hold.expires_at) if decision.hold else None,
            "next_action": None,
            "failure": decision.failure,
            "conflicted": decision.conflicted,
            "outcome_unknown": None,
            "updated_at": now,
        }
    )
