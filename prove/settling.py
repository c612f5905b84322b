"""The end of a campaign: nothing goes wrong any more, and now everything must come to an end and agree."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from prove.faults.readers import LISTS, read_all
from prove.field import TASK_QUEUE, Field
from prove.told import Json

# Waits between tries grow to five minutes while a server is away again and again.
SECONDS: Final = 420.0
SECONDS_IN_A_HURRY: Final = 40.0
RECONCILE_SECONDS: Final = 90
# GETs at once, in the end.
LOOKS_AT_ONCE: Final = 16
_NOT_AT_REST: Final = """
    SELECT id FROM payments WHERE status = 'processing' OR unknown_operation IS NOT NULL
    UNION SELECT payment_id FROM refunds WHERE status = 'pending'
    -- Its last event has no number yet.
    UNION SELECT payment_id FROM unfed JOIN payment_events USING (position)
"""


async def settle(field: Field, began: float, *, hurry: bool = False) -> list[str]:
    """Heal what nobody asks about, answer who does, and wait until nothing moves; what didn't, in words."""
    await field.ask_processor("DELETE", "/faults")
    await field.ask_processor("POST", "/webhooks", {"mode": "normal"})
    return [
        *await _in_time("clients still had no answer", _answer_everybody(field), field, hurry=hurry),
        *await _heal(field, began, hurry=hurry),
        *await rest(field, hurry=hurry),
    ]


async def rest(field: Field, *, hurry: bool = False) -> list[str]:
    """Wait until nothing moves; what does, in words."""
    return await _in_time("payments were still under way", _until_at_rest(field), field, hurry=hurry)


async def look(field: Field, *, hurry: bool = False) -> list[str]:
    """Everybody asks how their payment stands, and people read every list; who couldn't, in words."""
    return await _in_time("somebody could not see how it stands", _look_at_everything(field), field, hurry=hurry)


async def _heal(field: Field, began: float, *, hurry: bool) -> list[str]:
    found = Json()
    healing = _reconcile_until_healed(field, began, found)
    words = await _in_time("differences did not heal", healing, field, hurry=hurry)
    return [f"{each}; found: {json.dumps(found)}" for each in words]


async def _in_time(what: str, step: Coroutine[None, None, None], field: Field, *, hurry: bool) -> list[str]:
    seconds = SECONDS_IN_A_HURRY if hurry else SECONDS
    try:
        await asyncio.wait_for(step, seconds)
    except TimeoutError:
        return [f"{what} after {seconds:.0f} s: {await _left(field)}"]
    return []


async def _answer_everybody(field: Field) -> None:
    """Clients who want to know ask again, each until it has an answer. Those who are gone don't."""
    await asyncio.gather(
        *(field.pay(key, body) for key, body in list(field.unanswered.items())), field.shop.answer_who_waits()
    )


async def _reconcile_until_healed(field: Field, began: float, found: Json) -> None:
    """Whatever was lost is found by comparing, again and again until a run heals nothing; `found` is what is left."""
    while True:
        report = await reconcile(field, began)
        found.clear()
        found.update(report["found"])
        if not report["healed"] and not found:
            return
        await asyncio.sleep(1)


async def _look_at_everything(field: Field) -> None:
    places = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def one(payment: str) -> None:
        async with places:
            await field.shop.get_until_answered(payment)

    await asyncio.gather(*map(one, sorted(field.shop.paid_for)))
    while len(await read_all(field, at_rest=True)) < len(LISTS):
        await asyncio.sleep(1)


async def reconcile(field: Field, began: float) -> Json:
    """Everything since the beginning, up to now: nothing is on its way any more. The run's report."""
    period = {"start": _iso(began - 60), "end": datetime.now(UTC).isoformat()}
    while True:
        try:
            return await field.temporal.execute_workflow(  # pyright: ignore[reportUnknownMemberType]
                "ReconciliationWorkflow",
                {"period": period},
                id=field.key("reconciliation"),
                task_queue=TASK_QUEUE,
                run_timeout=timedelta(seconds=RECONCILE_SECONDS),
            )
        except (RPCError, WorkflowFailureError):
            await asyncio.sleep(1)


async def healed(field: Field) -> int:
    """How many differences all reconciliations of the campaign, scheduled or not, have found and mended."""
    async with field.database() as db:
        return await db.fetchval("SELECT coalesce(sum((report ->> 'healed')::bigint), 0)::bigint FROM reconciliations")


async def _until_at_rest(field: Field) -> None:
    """Nothing undecided, unknown, pending or not yet told in the books."""
    while await _not_at_rest(field):
        await asyncio.sleep(0.5)


async def _not_at_rest(field: Field) -> list[str]:
    async with field.database() as db:
        return [row["id"] for row in await db.fetch(_NOT_AT_REST)]


async def _left(field: Field) -> str:
    left = sorted({*field.unanswered, *await _not_at_rest(field)})
    return f"{len(left)} payments ({', '.join(left[:5])}{', ...' if len(left) > 5 else ''})"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
