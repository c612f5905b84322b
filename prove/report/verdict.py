"""What the campaign comes to in one sentence, and the numbers in it."""

import shlex
from dataclasses import dataclass
from typing import Final

from prove.report.figures import by_number, counted, listed, span
from prove.result import Audit, FaultCount, Kind, Result

LAST_FAULT: Final = 54
"""The fault matrix goes from F01 to F54: each is either covered or said to be left out, and why."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the sentence, the page's head and the terminal say alike."""

    payments: int
    requests: int
    kills: int
    cuts: int
    violations: int | None
    """None where nobody looked."""


def numbers(result: Result) -> Numbers:
    """Kills (also stops) and cuts (also stalls and refusals) are those that have really happened."""
    return Numbers(
        payments=result.counts.get("payments", sum(result.decided_each_second)),
        requests=result.counts.get("requests", sum(result.answers.values())),
        kills=_happened(result, "kill"),
        cuts=_happened(result, "cut"),
        violations=None if result.audit is None else violations(result.audit),
    )


def violations(audit: Audit) -> int:
    """All that were counted: the list may hold fewer."""
    return max(sum(check.violations for check in audit.checks), len(audit.violations))


def reasons(result: Result) -> tuple[str, ...]:
    """Why it failed; passed when there is none. Books that nobody audited are no proof of anything."""
    found = list(result.problems)
    if result.audit is None and not found:
        found.append("The books were not audited.")
    if result.audit is not None and violations(result.audit) and not found:
        found.append(f"The auditor found {counted(violations(result.audit), 'violation')}.")
    return tuple(found)


def sentence(result: Result) -> str:
    """Without its first word, which `word` says."""
    n = numbers(result)
    return (
        f"{counted(n.payments, 'payment')} in {counted(n.requests, 'request')} over {span(result.seconds)}, through"
        f" {counted(n.kills, 'process', 'processes')} killed or stopped and {counted(n.cuts, 'connection')} cut or"
        f" stalled: {_books(result)} (seed {result.seed})."
    )


def word(result: Result) -> str:
    return "Failed" if reasons(result) else "Passed"


def command(result: Result) -> str:
    """What runs the same campaign again."""
    parts = ["paysaga", "prove", "--seed", str(result.seed)]
    for name, value in result.options.items():
        if name == "seed" or value is None or value is False:
            continue
        flag = f"--{name.replace('_', '-')}"
        parts += [flag] if value is True else [flag, str(value)]
    return shlex.join(parts)


def never_fired(result: Result) -> list[FaultCount]:
    return [fault for fault in result.faults if fault.fired == 0]


def unaccounted(result: Result) -> list[str]:
    """Faults of the matrix that are neither covered nor said to be left out; neighbours as `F03 to F07`."""
    told = {each for fault in result.faults for each in fault.covers} | {each.id for each in result.left_out}
    lacking = [number for number in range(1, LAST_FAULT + 1) if f"F{number:02}" not in told]
    first = [number for number in lacking if number - 1 not in lacking]
    last = [number for number in lacking if number + 1 not in lacking]
    return [f"F{a:02}" if a == b else f"F{a:02} to F{b:02}" for a, b in zip(first, last, strict=True)]


def _happened(result: Result, kind: Kind) -> int:
    return sum(1 for each in result.injections if each.fired and each.kind == kind)


def _books(result: Result) -> str:
    if result.audit is None:
        return "the books were not audited"
    found = violations(result.audit)
    if found == 0:
        return f"no violation in {counted(len(result.audit.checks), 'check')} of the books"
    broken = {check.invariant for check in result.audit.checks if check.violations}
    broken |= {each.invariant for each in result.audit.violations}
    return f"{counted(found, 'violation')} of {listed(sorted(broken, key=by_number))}"
