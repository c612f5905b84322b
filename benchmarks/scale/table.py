"""The figures as people read them. Pure."""

from collections.abc import Sequence
from typing import Final

from benchmarks.figures import counted, significant
from benchmarks.scale.results import Backlog, Phase, Scale, Stock
from benchmarks.table import aligned
from benchmarks.usage import MEMORY_KIND

_NOTHING: Final = "-"
_NAMES: Final = {"api": "API", "worker": "worker", "temporal": "Temporal", "postgres": "PostgreSQL"}
_HEAD: Final = (
    *("phase", "payments/s", "p50 ms", "p99 ms", "CPU ms", *(f"of it {name}" for name in _NAMES.values())),
    *("duplicate CPU ms", "yardstick ms", "CPU / fresh", "at equal speed", "rate / fresh"),
)
_LEGEND: Final = """\
CPU: user and system ms per payment, from a sample's first request until 1 s after its last reply, without load
generator and sandbox processor. duplicate: a finished payment sent once more. yardstick: CPU of a fixed piece of work
meanwhile, more is a slower machine; "at equal speed" is CPU per payment in yardsticks. backlog: its rate is that of
all payments decided meanwhile, its latencies are those of the new ones."""
_STOCK_LEGEND: Final = f"""\
Processes: {MEMORY_KIND}. On disk: Temporal's database with its write-ahead log, the ledger's without."""


def text(scale: Scale) -> str:
    """Both tables, the backlog in words, and what was verified."""
    return "\n".join(
        [
            _phase_table(scale),
            "",
            f"Each sample: {counted(scale.phases[0].payments, 'payment')} by {counted(scale.clients, 'client')}.",
            _LEGEND,
            *([] if scale.backlog is None else [_in_words(scale.backlog)]),
            "",
            _stock_table(scale),
            "",
            _STOCK_LEGEND,
            f"Verified: {counted(scale.verified, 'payment')} held, charged and recorded once each; "
            f"{scale.verified_open:,} open ones not held, charged or recorded.",
        ]
    )


def _phase_table(scale: Scale) -> str:
    lines = [_phase_line(phase, scale.phases[0]) for phase in scale.phases]
    if scale.backlog is not None:
        lines.append(_backlog_line(scale.backlog, scale.phases[0]))
    return aligned([_HEAD, *lines], left=1)


def _phase_line(phase: Phase, fresh: Phase) -> list[str]:
    return [
        phase.phase,
        *(significant(value) for value in (phase.payments_per_s, phase.p50_ms, phase.p99_ms, phase.cpu_ms_per_payment)),
        *(significant(phase.cpu_ms_by_process[name]) for name in _NAMES),
        significant(phase.replay_cpu_ms),
        significant(phase.yardstick_ms),
        _ratio(phase.cpu_ms_per_payment, fresh.cpu_ms_per_payment),
        _ratio(phase.cpu_ms_per_payment / phase.yardstick_ms, fresh.cpu_ms_per_payment / fresh.yardstick_ms),
        _ratio(phase.payments_per_s, fresh.payments_per_s),
    ]


def _backlog_line(backlog: Backlog, fresh: Phase) -> list[str]:
    """CPU is left out: most of what the API does for these payments came before."""
    return [
        f"backlog of {backlog.payments:,}",
        *(significant(value) for value in (backlog.all_per_s, backlog.p50_ms, backlog.p99_ms)),
        *([_NOTHING] * (len(_NAMES) + 5)),
        _ratio(backlog.all_per_s, fresh.payments_per_s),
    ]


def _in_words(backlog: Backlog) -> str:
    return (
        f"Worker ready after {backlog.ready_s:.1f} s; {backlog.drained_s:.1f} s later all {backlog.payments:,} were"
        f" decided ({significant(backlog.payments_per_s)}/s).\nMeanwhile {counted(backlog.clients, 'client')} sent"
        f" {counted(backlog.meanwhile, 'new payment')}, which took {backlog.max_ms:.0f} ms at most. Together"
        f" {significant(backlog.all_per_s)}/s: {backlog.of_sample_rate:.2f} of the sample before."
    )


def _stock_table(scale: Scale) -> str:
    columns: Sequence[Stock] = scale.stocks
    head = ["MB", *(_moment(stock) for stock in columns), "kB per 1,000 payments", "kB per open payment"]
    lines = [
        [
            _NAMES.get(name, f"{name} on disk"),
            *(f"{stock.all_mb[name]:.1f}" for stock in columns),
            _growth(scale.kb_per_1000_payments.get(name)),
            _growth(scale.kb_per_open.get(name)),
        ]
        for name in columns[0].all_mb
    ]
    return aligned([head, *lines], left=1)


def _moment(stock: Stock) -> str:
    paid = f"{stock.payments - stock.open:,} paid"
    return f"{paid}, {stock.open:,} open" if stock.open else paid


def _growth(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:+.1f}"


def _ratio(value: float, reference: float) -> str:
    return f"{value / reference:.2f}" if reference > 0 else _NOTHING
