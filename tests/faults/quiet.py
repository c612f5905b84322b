"""Brings payments to their end, when nothing goes wrong any more, and then holds the books against the processor."""

import asyncio
from collections import Counter
from typing import Any, Final, Literal

from payments.state import CHARGED
from tests.faults.deeds import Cancel, Capture, Check, CustomerActs, Deed, Pay, Shop
from tests.faults.known_payment import KnownPayment

Ending = Literal["paid", "abandoned", "canceled"]
ENDINGS: Final[tuple[Ending, ...]] = ("paid", "abandoned", "canceled")
"""What its customer and its shop make of a payment that still waits for one of them."""

SECONDS_UNTIL_QUIET: Final = 90
# A refund that was to fail later has failed by then.
_FAILED_LATER_SECONDS: Final = 0.5

_CUSTOMER: Final[dict[Ending, Deed]] = {
    "paid": CustomerActs(confirms=True),
    "abandoned": CustomerActs(confirms=False),
    "canceled": Cancel(),
}
_HOLD: Final[dict[Ending, Deed]] = {"paid": Capture(key="in-the-end"), "abandoned": Cancel(), "canceled": Cancel()}


async def bring_to_an_end(shop: Shop, endings: dict[KnownPayment, Ending]) -> None:
    """Whoever got no answer asks again until there is one; who must act does; then everything is checked once more."""
    await shop.stack.processor.delete("/faults")
    async with asyncio.timeout(SECONDS_UNTIL_QUIET):
        await asyncio.gather(*(_end(shop, payment, ending) for payment, ending in endings.items()))
        if any(payment.refunds_may_fail_later for payment in endings):
            await asyncio.sleep(_FAILED_LATER_SECONDS)
        await asyncio.gather(*(shop.do(Check(), payment) for payment in endings))
        await asyncio.gather(*(_until_quiet(shop, payment) for payment in endings))


async def assert_one_truth(shop: Shop, payments: list[KnownPayment]) -> None:
    """Clients were told what happened, the ledger says the same, and so does the processor's journal."""
    await shop.stack.assert_books_agree(*(payment.key for payment in payments))
    kept: Counter[str] = Counter()
    for payment in payments:
        await shop.do(Pay(), payment)
        seen, journal = await shop.stack.get(payment.key), await shop.stack.journal(payment.key)
        payment.see_the_end(seen, journal)
        listed = await shop.stack.http.get(f"/v1/payments/{payment.key}/refunds")
        assert listed.json()["data"] == seen["refunds"]
        if seen["status"] in CHARGED and not _was_given_back(journal):
            kept[payment.order_id or payment.key] += 1
    assert max(kept.values(), default=0) <= 1, f"an order was paid twice: {kept}"


async def _end(shop: Shop, payment: KnownPayment, ending: Ending) -> None:
    while payment.answer is None:
        await shop.do(Pay(), payment)
        await shop.look(payment)
        if payment.waits_for_customer:
            await shop.do(_CUSTOMER[ending], payment)
            await shop.do(Check(), payment)
        await asyncio.sleep(0.05)
    while unanswered := list(shop.unanswered[payment.key]):
        for deed in unanswered:
            await shop.do(deed, payment)
    await shop.look(payment)
    while payment.is_open:
        await shop.do(_HOLD[ending], payment)
        await shop.look(payment)


async def _until_quiet(shop: Shop, payment: KnownPayment) -> None:
    """Until nothing is to be done for it but wait."""
    while True:
        described = (await shop.handle(payment).describe()).raw_description
        closed = described.workflow_execution_info.HasField("close_time")
        if closed or not (described.pending_activities or described.HasField("pending_workflow_task")):
            return
        await asyncio.sleep(0.05)


def _was_given_back(journal: list[dict[str, Any]]) -> bool:
    """Whether all of it ever was, which frees the order for good."""
    left: list[int] = [0]
    for entry in journal:
        sign = {"capture": 1, "refund": -1, "refund_failed": 1}.get(entry["operation"], 0)
        left.append(left[-1] + sign * entry["amount"])
        if entry["operation"] == "refund" and left[-1] == 0:
            return True
    return False
