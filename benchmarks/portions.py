"""A measurement comes in portions, taken in turn with those of other systems; together they are its figures. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import percentile
from benchmarks.histories import HistoryCounts
from benchmarks.jobs import Outcome, Sent
from benchmarks.results import Figures


@dataclass(frozen=True, slots=True)
class Portion:
    """Payments and their repetitions. CPU in ms of all of them together, memory in MB after the payments."""

    payments: Sequence[Sent]
    first: Outcome
    cpu_ms: dict[str, float]
    replays: int
    again: Outcome
    replay_cpu_ms: float
    memory_mb: dict[str, float]
    yardstick_ms: float


def combined(portions: Sequence[Portion], counts: HistoryCounts) -> Figures:
    """Rates over the time in which there was load, latencies of all payments together."""
    payments = sum(len(portion.payments) for portion in portions)
    replays = sum(portion.replays for portion in portions)
    latencies = [latency for portion in portions for latency in portion.first.latencies_ms]
    by_process = {name: sum(portion.cpu_ms[name] for portion in portions) / payments for name in portions[0].cpu_ms}
    return Figures(
        payments=payments,
        payments_per_s=payments / sum(portion.first.seconds for portion in portions),
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        sent_again=sum(portion.first.sent_again + portion.again.sent_again for portion in portions),
        cpu_ms_per_payment=sum(by_process.values()),
        cpu_ms_by_process=by_process,
        events=counts.events,
        workflow_tasks=counts.workflow_tasks,
        actions=counts.actions,
        replays=replays,
        replay_cpu_ms=sum(portion.replay_cpu_ms for portion in portions) / replays,
        replays_per_s=replays / sum(portion.again.seconds for portion in portions),
        memory_mb=portions[-1].memory_mb,
        yardstick_ms=sum(portion.yardstick_ms for portion in portions) / len(portions),
    )
