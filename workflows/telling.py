"""What people read in the Temporal Web UI: search attributes, summaries and current details. Nothing secret in them."""

import json
from collections.abc import Sequence
from typing import Final

from temporalio import workflow
from temporalio.common import SearchAttributePair, SearchAttributeUpdate, TypedSearchAttributes

from payments.money import Money
from payments.payment import Payment, Refund
from payments.request import RecordedRequest
from payments.state import PaymentStatus
from workflows import names

# The server's default limit.frontend.searchAttributesSizeOfValueLimit is 2 kB.
SEARCH_ATTRIBUTE_BYTES_MAX: Final = 2000
REFUSALS_SHOWN: Final = 5

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
        "don't charge the customer under another key. The search attribute PaymentStatus says how it stands; a charged "
        "payment stays open for refunds for a while."
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


def waking() -> None:
    """A run without a request has begun."""
    workflow.set_current_details("**Woken.** Reading the payment from the ledger.")


def woken(request: RecordedRequest) -> None:
    """What a woken run is found by. Whoever woke it by hand has set none of it."""
    attributes: list[SearchAttributeUpdate[str] | SearchAttributeUpdate[int]] = [
        names.CURRENCY.value_set(request.currency),
        names.AMOUNT.value_set(request.amount),
    ]
    if request.customer is not None:
        attributes.append(names.CUSTOMER.value_set(searchable(request.customer)))
    if request.order_id is not None:
        attributes.append(names.ORDER.value_set(searchable(request.order_id)))
    workflow.upsert_search_attributes(attributes)  # pyright: ignore[reportUnknownMemberType] - in the SDK only


def status(payment: Payment) -> None:
    """In the list of workflows."""
    workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType] - unknown in the SDK only
        [names.STATUS.value_set(payment.status.value)]
    )


def confirming(payment: Payment) -> None:
    """A payment that waits for its customer."""
    action = payment.next_action
    until = f" until {action.expires_at:%Y-%m-%d %H:%M} UTC" if action and action.expires_at else ""
    workflow.set_current_details(
        f"**The customer must confirm {payment.money} with their bank.** Nothing is held or charged. Waits{until}; "
        "then the payment ends as `expired`. `GET` tells the client where to send them. The signal `check` asks the "
        "processor now whether they have confirmed, `cancel` gives up."
    )


def watching(payment: Payment) -> None:
    """A payment that ended without its customer."""
    workflow.set_current_details(
        f"{_outcome(payment)} For a while it is watched whether the customer confirms after all; what their bank then "
        f"holds for us is released.{_reference(payment)}"
    )


def kept_nothing(payment: Payment) -> None:
    """Something was held or charged when the payment had ended."""
    workflow.set_current_details(
        f"{_outcome(payment)} Something was held or came back to us after that, and was given back again."
        f"{_reference(payment)}"
    )


def holding(payment: Payment) -> None:
    """A hold that waits to be captured."""
    until = f" until {payment.capture_before:%Y-%m-%d %H:%M} UTC" if payment.capture_before else ""
    workflow.set_current_details(
        f"**Held {payment.money}, not charged.** Waits{until} for `POST .../capture`; then the hold is released. "
        f"The signal `cancel` releases it now.{_reference(payment)}"
    )


def decided(payment: Payment, *, cancel_requested: bool) -> None:
    """Say whether the customer was charged, and why not."""
    why = f" {payment.failure.message} (`{payment.failure.code}`)" if payment.failure else ""
    workflow.set_current_details(f"{_outcome(payment, cancel_requested)}{why}{_reference(payment)}")


def open_for_refunds(payment: Payment, refusals: Sequence[Refund]) -> None:
    """A charged payment, and how to refund it from here."""
    left = Money(amount=payment.amount_refundable, currency=payment.currency)
    how = (
        f"Open for refunds: {left} is left. *Send a Signal* `request_refund` with "
        '`{"refund_id": "...", "amount": ...}` in minor units; without `amount` all of it goes back. The same '
        "`refund_id` refunds once. Canceling only ends the waiting."
        if left.amount
        else "Nothing is left to refund."
    )
    workflow.set_current_details(f"{_outcome(payment)}\n\n{how}{_refused(refusals)}{_reference(payment)}")


def asleep(payment: Payment, refusals: Sequence[Refund], *, late: bool) -> None:
    """A charged payment whose run ends: a signal alone doesn't reach it any more."""
    how = (
        "This run has ended. A refund over HTTP, or `temporal workflow signal-with-start` with an empty start, "
        "continues it under the same ID."
    )
    workflow.set_current_details(f"{_outcome(payment, late)}\n\n{how}{_refused(refusals)}{_reference(payment)}")


def _refused(refusals: Sequence[Refund]) -> str:
    if not refusals:
        return ""
    lines = [f"- `{refund.id}`: {refund.failure.message}" for refund in refusals[-REFUSALS_SHOWN:] if refund.failure]
    return f"\n\n**{len(refusals)} refused**, the last:\n" + "\n".join(lines)


def _reference(payment: Payment) -> str:
    reference = payment.processor_reference
    return f"\n\nThe processor's reference: `{reference}`" if reference else ""


def _outcome(payment: Payment, late: bool = False) -> str:
    refunded = Money(amount=payment.amount_refunded, currency=payment.currency)
    match payment.status:
        case PaymentStatus.SUCCEEDED:
            too_late = " A cancellation came too late: it was charged already." if late else ""
            return f"**Charged {payment.money}, once, and recorded.**{too_late}"
        case PaymentStatus.PARTIALLY_REFUNDED:
            return f"**Charged {payment.money}, once; {refunded} was refunded.**"
        case PaymentStatus.REFUNDED:
            return f"**Charged {payment.money}, once, and refunded.**"
        case _ if payment.amount_captured:
            return f"**Not charged in the end: {payment.money} was charged and given back.**"
        case _:
            released = f" The hold of {payment.money} was released." if payment.amount_authorized else ""
            return f"**Not charged: {payment.status}.**{released}"
