"""What one payment is to Temporal: events, workflow tasks, billable actions.

Actions by the rules of https://docs.temporal.io/cloud/actions, counted from the history as its Web UI does.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from paysaga.dev.errors import DevStackError

_LOCAL_ACTIVITY: Final = "core_local_activity"
_ACTION: Final = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    }
)
_CLOSED: Final = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    }
)
_TIMER: Final = EventType.EVENT_TYPE_TIMER_STARTED
_TASK: Final = frozenset({EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED})
# A workflow may answer a little before it closes.
_CLOSING_SECONDS: Final = 10
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class HistoryCounts:
    """Of one payment, or the median of several."""

    events: float = 0
    workflow_tasks: float = 0
    actions: float = 0


def count(events: Sequence[HistoryEvent]) -> HistoryCounts:
    """Of one workflow's history."""
    actions = 0
    tasks_with_local_activities: set[int] = set()
    for event in events:
        if event.event_type in _ACTION:
            actions += 1
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            # The history keeps an activity's last try only; each try after the first is an action.
            actions += max(event.activity_task_started_event_attributes.attempt - 1, 0)
        elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            marker = event.marker_recorded_event_attributes
            if marker.marker_name == _LOCAL_ACTIVITY:
                tasks_with_local_activities.add(marker.workflow_task_completed_event_id)
    tasks = sum(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED for event in events)
    return HistoryCounts(len(events), tasks, actions + len(tasks_with_local_activities))


def middle(counts: Sequence[HistoryCounts]) -> HistoryCounts:
    """The median of each figure."""
    return HistoryCounts(
        median(each.events for each in counts),
        median(each.workflow_tasks for each in counts),
        median(each.actions for each in counts),
    )


async def fetch_counts(temporal_address: str, payment_ids: Iterable[str]) -> HistoryCounts:
    """The median of these payments, each of which is a workflow with its key as ID."""
    client = await Client.connect(temporal_address)
    return middle([count(await _settled_history(client, payment_id)) for payment_id in payment_ids])


async def _settled_history(client: Client, payment_id: str) -> Sequence[HistoryEvent]:
    """Of a workflow that is closed, or only waits for its timer: a payment that stays open for refunds."""
    deadline = time.monotonic() + _CLOSING_SECONDS
    while True:
        history = await client.get_workflow_handle(payment_id).fetch_history()
        kinds = [event.event_type for event in history.events]
        if kinds and (kinds[-1] in _CLOSED or (_TIMER in kinds and kinds[-1] not in _TASK)):
            return history.events
        if time.monotonic() > deadline:
            raise DevStackError(
                f"the workflow of payment {payment_id} did not settle within {_CLOSING_SECONDS} seconds"
            )
        await asyncio.sleep(_POLL_SECONDS)
