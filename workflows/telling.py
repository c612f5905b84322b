"""What people read in the Temporal Web UI: search attributes, summaries and current details. Nothing secret in them."""

import json
from typing import Final

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from payments.payment import Payment
from payments.request import PaymentRequest
from payments.state import PaymentStatus
from workflows import names

# The server's default limit.frontend.searchAttributesSizeOfValueLimit is 2 kB.
SEARCH_ATTRIBUTE_BYTES_MAX: Final = 2000


def search_attributes(request: PaymentRequest) -> TypedSearchAttributes:
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


def summary(request: PaymentRequest) -> str:
    """The line under the workflow's ID."""
    return f"{request.money}" + (f" for order {request.order_id}" if request.order_id else "")


def tell_step(sentence: str) -> None:
    """Say what is being done, and where to look when it takes long."""
    workflow.set_current_details(
        f"**{sentence}**\n\nIf this stays, the pending activity's last failure says what it waits for. "
        "It is retried until the outcome is known; nothing needs to be done to keep the money safe."
    )


def tell_decided(payment: Payment) -> None:
    """Say how it ended."""
    reason = f" {payment.failure.message} (`{payment.failure.code}`)" if payment.failure else ""
    workflow.set_current_details(f"**{payment.money}: {payment.status}.**{reason}")
    workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType] - unknown in the SDK only
        [names.STATUS.value_set(payment.status.value)]
    )
