"""What a payment's timeline says, and that it agrees with what the processor really did."""

from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.harness import Stack

Event = dict[str, Any]


async def timeline(stack: Stack, key: str) -> list[Event]:
    """The payment's events, which agree with each other, with the payment and with what the processor really did."""
    reply = await stack.http.get(f"/v1/payments/{key}/timeline")
    assert reply.status_code == 200, reply.text
    assert set(reply.json()) == {"data"}
    events: list[Event] = reply.json()["data"]
    assert {event["actor"] for event in events} <= {"client", "workflow", "processor", "operator"}
    assert len({event["id"] for event in events}) == len(events)
    times = [datetime.fromisoformat(event["created_at"]) for event in events]
    assert all(before <= after for before, after in pairwise(times))
    journal = await stack.journal(key)
    for operation, amount in moved(events).items():
        assert amount == sum(entry["amount"] for entry in journal if entry["operation"] == operation), operation
    return events


def moved(events: list[Event]) -> dict[str, int]:
    """What the events say has moved at the processor, by the journal's words."""

    def total(type_: str, field: str) -> int:
        return sum(event["data"].get(field, 0) for event in events if event["type"] == type_)

    again = total("payment.refunded_again", "amount_refunded")
    return {
        "capture": total("payment.succeeded", "amount_captured") + total("payment.failed", "amount_captured"),
        "refund": total("refund.succeeded", "amount") + total("payment.failed", "amount_refunded") + again,
        "refund_failed": total("refund.reversed", "amount") + again,
    }


def said(events: list[Event]) -> list[tuple[str, str]]:
    """Type and actor of each."""
    return [(event["type"], event["actor"]) for event in events]
