"""The tables of the page: checks, violations, faults, mutants, answers and versions."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prove.report.figures import by_number, counted, listed
from prove.report.markup import Cell, Column, Html, Row, element, group, grouped, html, joined, table
from prove.result import Audit, FaultCount, LeftOut, Mutant, Result, Violation

_EVIDENCE_OF_A_CHECK = 20
"""So many violations of one check are shown; the JSON has all."""
_NO_ID: Final = "none"
_ANSWERS: Final = {
    "200": "OK: what was asked for",
    "201": "Created: decided, and the same answer to every repetition",
    "202": "Accepted: not decided yet",
    "400": "Bad request: refused, nothing changed",
    "401": "No or a wrong API key",
    "403": "The API key may not do this",
    "404": "No such payment",
    "409": "Conflict: the payment's or the order's state doesn't allow it",
    "413": "Too large",
    "415": "Not JSON",
    "422": "Not valid, or the key was used with another body",
    "429": "Too many requests: repeat later",
    "500": "An error of the service",
    "502": "No answer of the API behind a proxy",
    "503": "Unavailable for the moment: repeat with the same key",
    "504": "No answer of the API behind a proxy in time",
    "none": "No answer came: the connection broke, or it took too long",
}


def checks_table(audit: Audit) -> Html:
    columns = [
        Column("Invariant"),
        Column("What is checked", klass="long"),
        Column("Looked at", number=True),
        Column("Violations", number=True),
    ]
    rows = [
        Row(
            (check.invariant, _named(check.name, check.what), _looked_at(check.looked_at), _count(check.violations)),
            klass="broken" if check.violations else "",
        )
        for check in sorted(audit.checks, key=lambda check: by_number(check.invariant))
    ]
    return table("Checks of the auditor", columns, rows)


def violations_list(audit: Audit) -> Html:
    """By check, each with what shows it."""
    found: dict[tuple[str, str], list[Violation]] = {}
    for each in sorted(audit.violations, key=lambda each: by_number(each.invariant)):
        found.setdefault((each.invariant, each.check), []).append(each)
    parts: list[Html] = []
    for (invariant, check), each_of in found.items():
        parts.append(element("h3", f"{invariant} {check}: {counted(len(each_of), 'violation')}"))
        rows = [Row((_payment(each), _evidence(each))) for each in each_of[:_EVIDENCE_OF_A_CHECK]]
        parts.append(table("Rows that break it", [Column("Payment"), Column("Evidence", klass="long")], rows))
        rest = len(each_of) - _EVIDENCE_OF_A_CHECK
        if rest > 0:
            parts.append(element("p", f"{rest:,} more of this check are in the JSON report.", klass="quiet"))
    return joined(parts)


def faults_table(faults: Sequence[FaultCount]) -> Html:
    """By id of the matrix; a fault that covers several stands with each of them."""
    columns = [
        Column("Covers"),
        Column("Fault", klass="long"),
        Column("Armed", number=True),
        Column("Fired", number=True),
    ]
    of_id: dict[str, list[FaultCount]] = {}
    for fault in faults:
        for each in fault.covers or (_NO_ID,):
            of_id.setdefault(each, []).append(fault)
    # An id has a number; faults without one come last.
    ids = sorted(of_id, key=lambda each: (each == _NO_ID, by_number(each)))
    bodies = [group(each, columns, [_fault(each, fault) for fault in of_id[each]]) for each in ids]
    return grouped("Faults by id of the fault matrix", columns, bodies)


def left_out_table(left_out: Sequence[LeftOut]) -> Html:
    rows = [Row((each.id, each.why)) for each in sorted(left_out, key=lambda each: by_number(each.id))]
    return table("Left out of this campaign", [Column("Fault"), Column("Why", klass="long")], rows)


def mutants_table(mutants: Sequence[Mutant]) -> Html:
    columns = [Column("Planted bug", klass="long"), Column("Caught by", klass="long"), Column("Seconds", number=True)]
    rows = [
        Row((_named(each.name, each.what), _caught(each), f"{each.seconds:,.1f}"), "" if each.caught_by else "broken")
        for each in mutants
    ]
    return table("Bugs planted in copies", columns, rows)


def answers_table(answers: Mapping[str, int]) -> Html:
    columns = [
        Column("Status"),
        Column("Meaning", klass="long"),
        Column("Answers", number=True),
        Column("Share", number=True),
    ]
    total = sum(answers.values())
    rows = [
        Row((status, _ANSWERS.get(status, ""), count, f"{count / total:.1%}" if total else ""))
        for status, count in sorted(answers.items(), key=lambda item: (not item[0].isdigit(), item[0]))
    ]
    return table("Answers by HTTP status", columns, rows)


def setting_tables(result: Result) -> Html:
    """With what it ran."""
    started = ((role, f"{count:,}") for role, count in result.processes.items())
    counts = ((name.replace("_", " "), f"{count:,}") for name, count in result.counts.items())
    tables = [
        _pairs("Versions", ("Program", "Version"), result.versions.items(), number=False),
        _pairs("Processes of each role", ("Role", "Processes"), started, number=True),
        _pairs("Counts of the run", ("Of what", "How many"), counts, number=True),
    ]
    return element("div", joined(tables), klass="multiples")


def _pairs(caption: str, headings: tuple[str, str], pairs: Iterable[tuple[str, str]], *, number: bool) -> Html:
    rows = [Row(pair) for pair in pairs]
    return table(caption, [Column(headings[0]), Column(headings[1], number=number)], rows) if rows else Html("")


def _fault(identifier: str, fault: FaultCount) -> Row:
    others = [each for each in fault.covers if each != identifier]
    what = f"{fault.what} (also {listed(others)})" if others else fault.what
    fired: Cell = fault.fired or element("span", "never", klass="bad")
    return Row((identifier, _named(fault.name, what), fault.armed, fired), "" if fault.fired else "broken")


def _named(name: str, what: str) -> Html:
    """A name, and below it what it means."""
    return joined([name, element("span", what, klass="quiet")] if what else [name], " ")


def _caught(mutant: Mutant) -> Html:
    return _named(mutant.caught_by, mutant.evidence) if mutant.caught_by else element("span", "Nothing", klass="bad")


def _looked_at(count: int) -> Cell:
    return count or element("span", "nothing", klass="bad")


def _count(count: int) -> Cell:
    return element("span", html(count), klass="bad") if count else count


def _payment(violation: Violation) -> Html:
    return html("none") if violation.payment_id is None else element("code", violation.payment_id)


def _evidence(violation: Violation) -> Html:
    """A line for each part of it: a whole object would be many lines of brackets."""
    lines = [
        f"{name}: {json.dumps(value, ensure_ascii=False, default=str)}" for name, value in violation.evidence.items()
    ]
    return element("code", joined(lines, Html("<br>")))
