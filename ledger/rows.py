"""Turns rows of `payments` into what the port speaks of. Pure."""

from datetime import datetime

import asyncpg

from ledger.port import Decision, PaymentRecord
from payments.identifiers import OperationKind
from payments.messages import Ending
from payments.payment import Failure, Payment, UnknownOutcome, processing_payment
from payments.request import RecordedRequest
from payments.state import PaymentStatus


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
        answer=row["answer"] and Payment.model_validate_json(row["answer"]),
    )


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
            "amount_refundable": row["amount_captured"] - row["amount_refunded"],
            "processor": row["processor"],
            "processor_reference": row["processor_reference"],
            "failure": row["failure_code"] and Failure(code=row["failure_code"], message=row["failure_message"]),
            "outcome_unknown": unknown or None,
            "conflicted": row["conflicted"],
            "updated_at": row["updated_at"],
        }
    )


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
            "failure": decision.failure,
            "conflicted": decision.conflicted,
            "outcome_unknown": None,
            "updated_at": now,
        }
    )
