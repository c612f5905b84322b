"""The page: one file that needs nothing else, to be read, sent and printed."""

from pathlib import Path
from typing import Final

from prove.report.figures import counted, listed, span
from prove.report.markup import Cell, Html, element, html, joined
from prove.report.memory import memories, memory_pictures, memory_table
from prove.report.recovery import recovered, recovery_pictures, recovery_table
from prove.report.tables import (
    answers_table,
    checks_table,
    faults_table,
    left_out_table,
    mutants_table,
    setting_tables,
    violations_list,
)
from prove.report.timeline import bar_seconds, timeline
from prove.report.verdict import command, never_fired, numbers, reasons, sentence, unaccounted, word
from prove.result import Result

_STYLE: Final = Path(__file__).with_name("style.css")
# A browser loads nothing for this page, whatever stands in it.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_HEAD: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
"""


def write_page(result: Result, path: Path) -> None:
    """Everything that the campaign comes to, for people."""
    path.write_text(page(result), encoding="utf-8")


def page(result: Result) -> str:
    title = html(f"paysaga under faults: {word(result).lower()}, seed {result.seed}")
    head = _HEAD.format(policy=_POLICY, title=title, style=_STYLE.read_text(encoding="utf-8"))
    sections = (
        _verdict(result),
        _again(result),
        _invariants(result),
        _timeline(result),
        _recovery(result),
        _faults(result),
        _memory(result),
        _mutants(result),
        _answers(result),
        _setting(result),
    )
    return f"{head}{joined(filter(None, sections))}\n</main>\n</body>\n</html>\n"


def _section(heading: str, says: str, *content: Cell) -> Html:
    """Below the heading a line that says what it is."""
    return element("section", joined([element("h2", heading), element("p", says, klass="says"), *content]))


def _verdict(result: Result) -> Html:
    why = reasons(result)
    parts: list[Cell] = [element("h1", "Payments while processes die and connections break")]
    text = joined([element("strong", f"{word(result)}:"), sentence(result)], " ")
    listing = element("ul", joined(element("li", each) for each in why), klass="why") if why else Html("")
    parts.append(element("div", joined([text, listing]), klass="verdict failed" if why else "verdict passed"))
    n = numbers(result)
    tiles = {
        "Payments": f"{n.payments:,}",
        "Requests": f"{n.requests:,}",
        "Killed or stopped": f"{n.kills:,}",
        "Cut or stalled": f"{n.cuts:,}",
        "Violations": "not audited" if n.violations is None else f"{n.violations:,}",
        "Duration": span(result.seconds),
        "Seed": str(result.seed),
    }
    pairs = (element("div", joined([element("dt", name), element("dd", of)], "")) for name, of in tiles.items())
    parts.append(element("dl", joined(pairs), klass="numbers"))
    return element("section", joined(parts))


def _again(result: Result) -> Html:
    return _section(
        "How to run it again",
        "The seed decides what clients send and which faults are chosen; how processes interleave differs from run to"
        f" run. This run started at {result.started_at}.",
        element("pre", element("code", command(result))),
    )


def _invariants(result: Result) -> Html:
    says = (
        "What must be true of the books whatever has happened. A separate program, which shares no code with the"
        " service, compares the processor's own journal, the ledger's rows and what clients were answered."
    )
    if result.audit is None:
        return _section("Invariants", says, element("p", "The books were not audited.", klass="bad"))
    parts = [checks_table(result.audit)]
    if result.audit.violations:
        parts.append(element("h2", "Violations"))
        parts.append(element("p", "Each row that breaks an invariant, with what shows it.", klass="says"))
        parts.append(violations_list(result.audit))
    return _section("Invariants", says, *parts)


def _timeline(result: Result) -> Html:
    seconds = bar_seconds(result)
    average = "" if seconds == 1 else f", as the mean of each {seconds}\N{NO-BREAK SPACE}s"
    return _section(
        "Timeline",
        f"Payments that were decided (succeeded, declined or failed) per second{average}. Each mark below is a fault"
        " that really happened, in the row of what it hit; where it is wide, it lasted that long.",
        timeline(result) if result.decided_each_second else element("p", "Nothing was decided."),
        "" if any(each.fired for each in result.injections) else element("p", "No fault was injected."),
    )


def _recovery(result: Result) -> Html:
    says = (
        "How long after a process had died the next new payment was decided. p50: half of the deaths took no longer;"
        " p99: 99 of 100 took no longer; of fewer than 100 it is the longest."
    )
    found = recovered(result.recoveries)
    if not found:
        return _section("Recovery", says, element("p", "No recovery was measured."))
    legend = "Each point is one death; the upright line is p50."
    return _section(
        "Recovery", says, recovery_table(found), element("p", legend, klass="quiet"), recovery_pictures(found)
    )


def _faults(result: Result) -> Html:
    says = (
        "Every fault that was planned. Armed: set up and waiting for its moment. Fired: it really happened. A fault"
        " that never fired has proved nothing."
    )
    never, missing = never_fired(result), unaccounted(result)
    parts: list[Cell] = []
    if never:
        names = listed([fault.name for fault in never])
        parts.append(element("p", f"{counted(len(never), 'fault')} never fired: {names}.", klass="bad"))
    elif result.faults:
        parts.append(element("p", f"All {counted(len(result.faults), 'fault')} fired."))
    parts.append(faults_table(result.faults) if result.faults else element("p", "This campaign has no faults."))
    if result.left_out:
        parts.append(left_out_table(result.left_out))
    if missing:
        parts.append(element("p", f"Neither covered nor explained: {listed(missing)}.", klass="bad"))
    return _section("Faults", says, *parts)


def _memory(result: Result) -> Html:
    says = (
        "Resident memory (RSS) of each process, in MB of 1,000,000 bytes. A line is one life of a process: it ends"
        " where the process was killed, and the next one begins. Dashed lines divide the run into thirds."
    )
    found = memories(result)
    if not found:
        return _section("Memory", says, element("p", "Memory was not sampled."))
    return _section("Memory", says, memory_pictures(found, result), memory_table(found))


def _mutants(result: Result) -> Html:
    if not result.mutants:
        return Html("")
    caught = sum(1 for each in result.mutants if each.caught_by)
    says = (
        "Bugs planted on purpose in copies of the service, to see that this proof would notice them:"
        f" {caught} of {len(result.mutants)} were caught."
    )
    return _section("Planted bugs", says, mutants_table(result.mutants))


def _answers(result: Result) -> Html:
    says = "What clients were answered, faults and repetitions included."
    if not result.answers:
        return _section("Answers", says, element("p", "Nothing was asked."))
    return _section("Answers", says, answers_table(result.answers))


def _setting(result: Result) -> Html:
    return _section("Versions and set-up", "What ran, and how much of it.", setting_tables(result))
