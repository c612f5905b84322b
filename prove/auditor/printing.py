"""What the auditor has found, for a person and for a program."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from prove.auditor.checks import Check, Violation

PRINTED_MAX: Final = 20
"""Violations of one check that are printed; the JSON has all."""
_EVIDENCE_MAX: Final = 600


def table(checks: Sequence[Check]) -> str:
    """One line for each check."""
    wide = max(len(check.name) for check in checks)
    lines = [f"{'':4}  {'check':{wide}}  {'looked at':>10}  {'violations':>10}  {'seconds':>7}"]
    lines += [
        f"{check.invariant:4}  {check.name:{wide}}  {check.looked_at:>10,}  {check.violations:>10,}"
        f"  {check.seconds:>7.2f}{'' if check.looked_at else '  looked at nothing'}"
        for check in checks
    ]
    return "\n".join(lines)


def listed(violations: Sequence[Violation]) -> str:
    """Each violation with its evidence, the first ones of each check."""
    lines: list[str] = []
    for (invariant, check), group in groupby(violations, lambda v: (v.invariant, v.check)):
        found = list(group)
        lines.append(f"\n{invariant} {check}: {len(found):,}")
        for violation in found[:PRINTED_MAX]:
            evidence = ", ".join(f"{name}={value}" for name, value in violation.evidence.items())
            short = evidence if len(evidence) <= _EVIDENCE_MAX else evidence[:_EVIDENCE_MAX] + " ..."
            lines.append(f"  {violation.payment_id or '-'}: {short}")
        if len(found) > PRINTED_MAX:
            lines.append(f"  ... and {len(found) - PRINTED_MAX:,} more")
    return "\n".join(lines)


def as_json(checks: Sequence[Check], violations: Sequence[Violation]) -> dict[str, Any]:
    """Everything; without the seconds, so that equal books give equal files."""
    kept = ("invariant", "name", "what", "looked_at", "violations")
    return {
        "checks": [{name: getattr(check, name) for name in kept} for check in checks],
        "violations": [vars(violation) for violation in violations],
    }
