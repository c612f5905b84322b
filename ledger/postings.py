"""The chart of accounts and what each event posts. Pure."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from payments.identifiers import OperationKind
from payments.money import Money


class Account(StrEnum):
    """The accounts of the books. One processor has one receivable account, named after it."""

    PROCESSOR_RECEIVABLE = "processor_receivable"
    """What a processor collected for us and will pay out."""
    SALES = "sales"
    """What customers paid for."""
    REFUNDS = "refunds"
    """What was given back of it, or is owed."""
    REFUNDS_PAYABLE = "refunds_payable"
    """What is owed for refunds that were asked for and are not made yet. The database posts it when one is asked for,
    and takes it back when the processor refuses it."""
    HELD_AUTHORIZATIONS = "held_authorizations"
    """A memo, for each processor: what is held for us until it is captured or released. The database posts it."""
    HELD_AUTHORIZATIONS_CONTRA = "held_authorizations_contra"
    """The memo's other side: nothing of it is ours yet, so neither stands in the balance sheet."""
    SUSPENSE = "suspense"
    """Charges that were undone: what came in by mistake, until it went back. Zero once every undoing is done."""


class Movement(BaseModel):
    """Money that moved at the processor, and the account on our side of it."""

    model_config = ConfigDict(frozen=True)

    operation: Literal[OperationKind.CAPTURE, OperationKind.REFUND, "refund_reversal"]
    """A reversal is no operation of ours: a refund failed after the processor had confirmed it, and came back."""
    operation_key: str
    processor_reference: str
    money: Money
    account: Account


class Posting(BaseModel):
    """An amount that one account is debited with and another credited."""

    model_config = ConfigDict(frozen=True)

    debit_account: str
    credit_account: str
    money: Money


def posting_for(movement: Movement, processor: str) -> Posting:
    """A capture debits the processor's receivable, as does what comes back of a refund; a refund credits it."""
    receivable = f"{Account.PROCESSOR_RECEIVABLE}:{processor}"
    sides = (receivable, str(movement.account))
    debit, credit = reversed(sides) if movement.operation is OperationKind.REFUND else sides
    return Posting(debit_account=debit, credit_account=credit, money=movement.money)
