"""Counting events, workflow tasks and billable actions of a history."""

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import (
    ActivityTaskStartedEventAttributes,
    HistoryEvent,
    MarkerRecordedEventAttributes,
)

from benchmarks.histories import HistoryCounts, count, middle

STARTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
TASK = (
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
)
COMPLETED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED


def events(*types: EventType.ValueType) -> list[HistoryEvent]:
    return [HistoryEvent(event_type=each) for each in types]


def activity(attempt: int = 1) -> list[HistoryEvent]:
    started = ActivityTaskStartedEventAttributes(attempt=attempt)
    return [
        HistoryEvent(event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED),
        HistoryEvent(
            event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED, activity_task_started_event_attributes=started
        ),
        HistoryEvent(event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED),
    ]


def marker(task: int, name: str = "core_local_activity") -> HistoryEvent:
    attributes = MarkerRecordedEventAttributes(marker_name=name, workflow_task_completed_event_id=task)
    return HistoryEvent(event_type=EventType.EVENT_TYPE_MARKER_RECORDED, marker_recorded_event_attributes=attributes)


def test_three_activities() -> None:
    history = events(STARTED, *TASK)
    for _ in range(3):
        history += [*activity(), *events(*TASK)]
    assert count([*history, *events(COMPLETED)]) == HistoryCounts(events=23, workflow_tasks=4, actions=4)


def test_local_activities_of_one_task_are_one_action() -> None:
    history = [*events(STARTED, *TASK), marker(4), marker(4), marker(4), *events(COMPLETED)]
    assert count(history) == HistoryCounts(events=8, workflow_tasks=1, actions=2)


def test_local_activities_of_two_tasks_are_two_actions() -> None:
    history = [*events(STARTED, *TASK), marker(4), *events(*TASK), marker(8), *events(COMPLETED)]
    assert count(history).actions == 3


def test_markers_of_other_things_are_free() -> None:
    assert count([*events(STARTED, *TASK), marker(4, "core_patch"), *events(COMPLETED)]).actions == 1


def test_each_retry_of_an_activity_is_an_action() -> None:
    assert count([*events(STARTED), *activity(attempt=4)]).actions == 5


def test_what_else_is_an_action() -> None:
    others = (
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    )
    free = (EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED, EventType.EVENT_TYPE_TIMER_FIRED)
    assert count(events(STARTED, *others, *free)).actions == 5


def test_the_median_of_each_figure() -> None:
    counts = [HistoryCounts(23, 4, 4), HistoryCounts(23, 4, 4), HistoryCounts(29, 5, 6)]
    assert middle(counts) == HistoryCounts(23, 4, 4)
