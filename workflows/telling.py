"""What people read in the Temporal Web UI: search attributes, summaries and current details. Nothing secret in them."""

import json
from typing import Final

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from payments.money import Money
from payments.payment import Payment
from payments.request import RecordedRequest
from payments.state import PaymentStatus
from workflows import names

# The server's default limit.frontend.searchAttributesSizeOfValueLimit is 2 kB.
SEARCH_ATTRIBUTE_BYTES_MAX: Final = 2000

_UNDOING: Final = (
    "This is tried until it is done. If it says *UndoRefused*, somebody must settle it with the processor: the "
    "customer's money is held or charged until then."
)


def search_attributes(request: RecordedRequest) -> TypedSearchAttributes:
    """Those of a payment that starts. Set with the start, they cost nothing."""
    pairs: list[SearchAttributePair[str] | SearchAttributePair[int]] = [
        SearchAttributePair(names.STATUS, PaymentStatus.PROCESSING.value),
        SearchAttributePair(names.CURRENCY, request.currency),
        SearchAttributePair(names.AMOUNT, request.amount),
    ]
    if request.customer is not None:
        pairs.append(SearchAttributePair(names.CUSTOMER, searchable(request.customer)))
    if request.order_id is not None:
        pairs.append(SearchAttributePair(names.ORDER, searchable(request.order_id)))
    return TypedSearchAttributes(pairs)


def searchable(text: str) -> str:
    """The text, or as much of it as Temporal takes in one search attribute: it counts the bytes of its JSON."""
    while len(json.dumps(text)) > SEARCH_ATTRIBUTE_BYTES_MAX:
        text = text[:-1]
    return text


def summary(request: RecordedRequest) -> str:
    """One line, on the tab User Metadata."""
    return f"{request.money}" + (f" for order {request.order_id}" if request.order_id else "")


def details(request: RecordedRequest) -> str:
    """What stands beside the summary from the start, also while no worker is there to tell more."""
    whose = f", customer {request.customer}" if request.customer else ""
    return (
        f"Payment of **{summary(request)}**{whose}, by `{request.payment_method}`.\n\n"
        "While it runs, it is retried until the processor's own record says what happened. Don't terminate it, and "
        "don't charge the customer under another key. *Completed* means decided; the search attribute PaymentStatus "
        "says how."
    )


def paying(money: Money) -> None:
    """Everything is being done at once, which takes milliseconds; who reads this sees a payment that waits."""
    _tell(
        f"Reserving, charging and recording {money} at once.",
        "If nobody works on it, the workers are down or busy. If it takes longer than a few seconds, it goes on in "
        "steps of their own.",
    )


def reserving(money: Money) -> None:
    """The hold is being placed."""
    _tell(
        f"Reserving {money} at the processor.",
        "Nothing is charged yet, and the payment can still be canceled.",
    )


def charging(money: Money) -> None:
    """What is held is being captured."""
    _tell(
        f"Reserved. Charging {money}.",
        "If this takes longer than a few seconds, it is not known whether the customer was charged: they should wait "
        "and not pay again. Canceling no longer stops it.",
    )


def recording(money: Money) -> None:
    """The charge is being written down."""
    _tell(
        f"Charged {money}. Writing it into the ledger.",
        "The customer has paid. If the books refuse it, the charge is refunded.",
    )


def releasing(money: Money) -> None:
    """The hold is being voided."""
    _tell(f"Not charged. Releasing the hold of {money}.", _UNDOING)


def refunding(money: Money) -> None:
    """The charge is being given back."""
    _tell(f"Charged, but it can't be kept. Refunding {money}.", _UNDOING)


def _tell(sentence: str, meanwhile: str) -> None:
    workflow.set_current_details(
        f"**{sentence}**\n\n{meanwhile} Tab *Pending Activities*, *Last Failure*, says what it waits for and when it "
        "is tried next."
    )


def decided(payment: Payment, *, cancel_requested: bool) -> None:
    """Say whether the customer was charged, and why not."""
    why = f" {payment.failure.message} (`{payment.failure.code}`)" if payment.failure else ""
    reference = f"\n\nThe processor's reference: `{payment.processor_reference}`" if payment.processor_reference else ""
    workflow.set_current_details(f"{_outcome(payment, cancel_requested)}{why}{reference}")
    workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType] - unknown in the SDK only
        [names.STATUS.value_set(payment.status.value)]
    )


def _outcome(payment: Payment, cancel_requested: bool) -> str:
    if payment.status is PaymentStatus.SUCCEEDED:
        late = " A cancellation came too late: it was being charged already." if cancel_requested else ""
        return f"**Charged {payment.money}, once, and recorded.**{late}"
    if payment.amount_captured:
        return f"**Not charged in the end: {payment.money} was charged and given back.**"
    released = f" The hold of {payment.money} was released." if payment.amount_authorized else ""
    return f"**Not charged: {payment.status}.**{released}"
