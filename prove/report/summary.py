"""The same in a few lines for the terminal."""

import textwrap
from collections.abc import Iterable
from typing import Final

from prove.report.figures import counted
from prove.report.recovery import recovered
from prove.report.verdict import command, never_fired, reasons, sentence, word
from prove.result import Result

_COLUMNS: Final = 100
# Together at most 25 lines: one look at a terminal.
_REASONS = 4
_VIOLATIONS = 4
_TARGETS = 6


def summary(result: Result) -> str:
    """What it ran, the verdict, what never fired, what is broken, and how long recovery took."""
    parts = [
        *_wrapped(f"{word(result)}: {sentence(result)}", 3),
        *_first([f"  - {reason}" for reason in reasons(result)], _REASONS, "reasons"),
        *_violations(result),
        *_faults(result),
        *_recoveries(result),
        *_wrapped(f"Again: {command(result)}", 2),
    ]
    return "\n".join(_cut(each) for each in parts)


def _violations(result: Result) -> Iterable[str]:
    found = result.audit.violations if result.audit is not None else ()
    rows = [f"  {each.invariant} {each.check}: {each.payment_id or 'no single payment'}" for each in found]
    return ["Violations:", *_first(rows, _VIOLATIONS, "violations")] if rows else []


def _faults(result: Result) -> list[str]:
    fired = sum(fault.fired for fault in result.faults)
    never = never_fired(result)
    if not never:
        return [f"Faults: all {len(result.faults)} kinds fired, {counted(fired, 'time')} together."] if fired else []
    names = ", ".join(fault.name for fault in never)
    return _wrapped(f"Never fired: {len(never)} of {counted(len(result.faults), 'fault')}: {names}", 3)


def _recoveries(result: Result) -> list[str]:
    found = recovered(result.recoveries)
    if not found:
        return []
    wide = max(len(each.target) for each in found)
    rows = [f"  {each.target:{wide}}  {len(each.seconds):6,}  {each.p50:8.2f}  {each.p99:8.2f}" for each in found]
    head = f"  {'':{wide}}  {'deaths':>6}  {'p50 s':>8}  {'p99 s':>8}"
    return ["From a death to the next new payment decided:", head, *_first(rows, _TARGETS, "targets")]


def _first(rows: list[str], most: int, things: str) -> list[str]:
    if len(rows) <= most:
        return rows
    return [*rows[: most - 1], f"  and {len(rows) - most + 1:,} more {things}, see the page"]


def _wrapped(text: str, lines: int) -> list[str]:
    return textwrap.wrap(text, _COLUMNS, subsequent_indent="  ", max_lines=lines, placeholder=" ...")


def _cut(text: str) -> str:
    # What stands in the run's data must not speak to the terminal.
    flat = "".join(each if each.isprintable() else " " for each in text)
    return flat if len(flat) <= _COLUMNS else f"{flat[: _COLUMNS - 4]} ..."
