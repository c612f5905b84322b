"""The one place that turns our errors into Temporal failures: what is retried, when, and under which name."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final

from pydantic import ValidationError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.settling import RecordDiffers, TakesLonger
from gateways.port import NotExecuted, OutcomeUnknown
from ledger.port import LedgerRefused, LedgerUnavailable
from payments.request import PaymentRequest, RecordedRequest


class UndoRefused(Exception):
    """The processor refused to give back or to release. Somebody must look, and it is tried again until it is done."""


def check_request(request: RecordedRequest) -> None:
    """Hold a request to the rules of today, before it is claimed and never after: not everybody starts a payment
    through the API. Raises `ApplicationError`, without the values: they may be secret."""
    try:
        PaymentRequest.model_validate(request.model_dump())
    except ValidationError as error:
        raise ApplicationError(describe(error, "request"), type=FailureType.MALFORMED, non_retryable=True) from None


def describe(error: ValidationError, root: str) -> str:
    """What is wrong and where, in one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in (root, *problem['loc']))}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )


# A detail of `pay_at_once` failing when the charge may have been sent.
CHARGE_SENT: Final = "charge sent"


class FailureType(StrEnum):
    """Failure types as people read them in the Temporal Web UI, and as the workflow tells them apart."""

    MALFORMED = "Malformed"
    """What was sent is no payment, or no message. Not retried."""
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    """It may have happened at the processor. Retried until its record says which."""
    TAKES_LONGER = "TakesLonger"
    """The processor has not answered at once. The request goes on, and an activity that people can see waits for it."""
    PROCESSOR_UNAVAILABLE = "ProcessorUnavailable"
    """Surely nothing happened. Retried."""
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    """PostgreSQL can't serve us now. Retried."""
    UNDO_REFUSED = "UndoRefused"
    """The processor refused an undoing. Retried, since money must not stay behind."""
    RECORD_DIFFERS = "RecordDiffers"
    """The processor's record of a refund or an undoing differs from what was asked. Retried: somebody must look."""
    LEDGER_REFUSED = "LedgerRefused"
    """A rule of the books forbids it. Retried only where giving up would keep a customer's money."""


@asynccontextmanager
async def temporal_failures(
    *details: str, ledger_refusal_is_final: bool = False, final_rule: str | None = None
) -> AsyncGenerator[None]:
    """Raise what the ports raise as `ApplicationError`s with these details, and without their causes: those would carry
    what processors and databases said, word by word, into Temporal's history. What the ledger refuses is final always,
    or for one rule."""
    try:
        yield
    # Retry, with the processor's own wish for when.
    except OutcomeUnknown as error:
        raise ApplicationError(
            str(error), *details, type=FailureType.OUTCOME_UNKNOWN, next_retry_delay=error.retry_after
        ) from None
    except NotExecuted as error:
        raise ApplicationError(
            str(error), *details, type=FailureType.PROCESSOR_UNAVAILABLE, next_retry_delay=error.retry_after
        ) from None
    # Retry.
    except TakesLonger as error:
        raise ApplicationError(
            str(error), *details, type=FailureType.TAKES_LONGER, category=ApplicationErrorCategory.BENIGN
        ) from None
    except LedgerUnavailable as error:
        raise ApplicationError(str(error), *details, type=FailureType.DATABASE_UNAVAILABLE) from None
    except UndoRefused as error:
        raise ApplicationError(str(error), *details, type=FailureType.UNDO_REFUSED) from None
    except RecordDiffers as error:
        raise ApplicationError(str(error), *details, type=FailureType.RECORD_DIFFERS) from None
    # Retry or not: the caller knows what depends on it.
    except LedgerRefused as error:
        final = ledger_refusal_is_final or error.rule == final_rule
        raise ApplicationError(str(error), *details, type=FailureType.LEDGER_REFUSED, non_retryable=final) from None
