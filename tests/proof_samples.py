"""Results of campaigns that never were, but could have been: to draw pages from."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from prove.result import (
    Audit,
    Check,
    FaultCount,
    Injection,
    Kind,
    LeftOut,
    Mutant,
    Recovery,
    Result,
    Sample,
    Violation,
)

TARGETS: Final = ("worker", "API", "Temporal", "PostgreSQL", "processor")
LINKS: Final = (
    "API to Temporal",
    "API to PostgreSQL",
    "worker to Temporal",
    "worker to PostgreSQL",
    "worker to processor",
    "clients to API",
)
_PROCESSES: Final = {
    "api-1": 96,
    "api-2": 95,
    "worker-1": 118,
    "worker-2": 117,
    "worker-3": 119,
    "temporal": 210,
    "postgres": 64,
    "sandbox": 52,
    "prove": 88,
}
_LEFT_OUT: Final = {
    "F02": "The service writes no row before it starts the workflow: there is no such moment.",
    "F39": "The service sends no webhooks to other servers.",
    "F48": "There is one processor: nothing fails over.",
}
_MEGABYTE = 1_000_000
_NAMES: Final = (
    ("worker dies before the claim", "kill -9 when the claim goes to PostgreSQL; it never arrives", "kill"),
    ("reply lost after the charge", "The processor has charged; its answer is swallowed", "cut"),
    ("processor answers 502", "An HTML page in place of the answer, once done and once not done", "other"),
    ("PostgreSQL stalls", "Bytes are held up for some seconds in both directions", "cut"),
    ("same key, another body", "The key of a running payment with another amount: must be refused with 422", "other"),
)


def passed(minutes: int = 3, injections: int = 60, seed: int = 7) -> Result:
    """A campaign in which all was well."""
    chance = random.Random(seed)
    seconds = 60 * minutes
    injected = tuple(_injections(chance, seconds, injections))
    payments = 11 * seconds
    return Result(
        seed=seed,
        started_at="2026-11-23T21:04:11Z",
        seconds=seconds + 4.2,
        options={"payments": payments, "minutes": minutes, "workers": 3, "keep": False},
        versions={
            "paysaga": "0.1.0",
            "commit": "3a29a01",
            "Python": "3.11.7",
            "PostgreSQL": "18.6",
            "Temporal": "1.32.0",
        },
        processes={"API": 2, "worker": 3, "Temporal": 1, "PostgreSQL": 1, "processor": 1},
        counts={"payments": payments, "requests": payments * 6, "refunds": payments // 5, "webhooks": payments // 3},
        answers={"200": payments * 3, "201": payments, "202": payments // 20, "401": 31, "409": 64, "422": 203}
        | {"503": payments // 9, "none": payments // 30},
        faults=tuple(_faults(chance)),
        left_out=tuple(LeftOut(name, why) for name, why in _LEFT_OUT.items()),
        injections=injected,
        decided_each_second=tuple(_decided(chance, seconds, injected)),
        recoveries=tuple(_recoveries(chance, injected)),
        memory=tuple(_memory(chance, seconds, injected)),
        audit=Audit(tuple(_checks(chance)), ()),
        mutants=tuple(_mutants()),
    )


def failed(minutes: int = 3, injections: int = 60, seed: int = 8) -> Result:
    """A campaign that has found two bugs, and one of whose faults never fired."""
    result = passed(minutes, injections, seed)
    assert result.audit is not None
    bad = {3: 2, 14: 24}
    checks = tuple(
        replace(check, violations=bad.get(number, 0), looked_at=0 if number == 20 else check.looked_at)
        for number, check in enumerate(result.audit.checks)
    )
    violations = tuple(
        Violation(check.invariant, check.name, f"order-{number:05}-try-1", _evidence(number))
        for check in checks
        for number in range(check.violations)
    )
    never = result.faults[4]
    return replace(
        result,
        audit=Audit(checks, violations),
        faults=(*result.faults[:4], replace(never, fired=0), *result.faults[5:]),
        mutants=(
            *result.mutants,
            Mutant("refund without a lock", "Refunds are reserved without a lock", None, "", 48.0),
        ),
        problems=(
            f"The auditor found 26 violations of {checks[3].invariant} and {checks[14].invariant}.",
            f"The fault `{never.name}` was armed {never.armed} times and never fired.",
        ),
    )


def empty() -> Result:
    """A campaign that was stopped before anything had happened."""
    return Result(
        seed=1,
        started_at="2026-11-23T21:04:11Z",
        seconds=0.0,
        options={},
        versions={},
        processes={},
        counts={},
        answers={},
        faults=(),
        left_out=(),
        injections=(),
        decided_each_second=(),
        recoveries=(),
        memory=(),
        audit=None,
    )


def _injections(chance: random.Random, seconds: int, number: int) -> Iterator[Injection]:
    for at in sorted(chance.uniform(5, seconds - 10) for _ in range(number)):
        name, _, _ = chance.choice(_NAMES)
        kind: Kind = chance.choices(("kill", "cut", "other"), (5, 4, 2))[0]
        target = chance.choice(
            {"kill": (*TARGETS, "worker", "API"), "cut": LINKS, "other": ("requests", "processor")}[kind]
        )
        until = at + (chance.uniform(0.1, 0.9) if kind == "kill" else chance.uniform(0.2, 6))
        note = {"kill": f"killed {target}", "cut": f"cut {target}", "other": name}[kind]
        yield Injection(name, kind, at, until, chance.random() > 0.04, note, target)


def _decided(chance: random.Random, seconds: int, injections: tuple[Injection, ...]) -> Iterator[int]:
    for second in range(seconds):
        hit = any(each.kind != "other" and each.at - 1 < second < each.at + 2 for each in injections)
        yield max(round(chance.gauss(4 if hit else 15, 2.5)), 0)


def _recoveries(chance: random.Random, injections: tuple[Injection, ...]) -> Iterator[Recovery]:
    middle = {"worker": 0.3, "API": 0.12, "Temporal": 4.5, "PostgreSQL": 1.9, "processor": 0.8}
    for each in injections:
        if each.kind == "kill" and each.fired:
            yield Recovery(each.target, each.at, middle[each.target] * chance.lognormvariate(0, 0.45))


def _memory(chance: random.Random, seconds: int, injections: tuple[Injection, ...]) -> Iterator[Sample]:
    """Each kill of a role ends one of its processes' lives."""
    for name, megabytes in _PROCESSES.items():
        target = {"api": "API", "postgres": "PostgreSQL", "temporal": "Temporal", "sandbox": "processor"}.get(
            name.split("-", maxsplit=1)[0], name.split("-", maxsplit=1)[0]
        )
        deaths = [each.at for each in injections if each.kind == "kill" and each.target == target]
        mine = deaths[int(name[-1]) - 1 :: 3] if name[-1].isdigit() else deaths
        pid, born = chance.randrange(2_000, 30_000), 0.0
        for second in range(0, seconds, 2):
            if mine and mine[0] < second:
                mine, pid, born = mine[1:], pid + chance.randrange(1, 40), float(second)
            grown = 1 - 0.35 / (1 + (second - born) / 4)
            yield Sample(name, pid, second + 0.3, round(megabytes * grown * chance.uniform(0.985, 1.01) * _MEGABYTE))


def _faults(chance: random.Random) -> Iterator[FaultCount]:
    for number in range(1, 55):
        name = f"F{number:02}"
        if name in _LEFT_OUT:
            continue
        title, what, kind = _NAMES[number % len(_NAMES)]
        covers = (name, f"F{number + 12:02}") if number in {6, 8, 20} else (name,)
        fired = chance.randrange(1, 40)
        yield FaultCount(f"{title} {number}", covers, what, kind, fired + chance.randrange(3), fired)  # type: ignore[arg-type]


def _checks(chance: random.Random) -> Iterator[Check]:
    whats = (
        ("charged once", "Each payment has at most one capture with effect in the processor's journal."),
        (
            "journal and ledger agree",
            "Each capture and refund is exactly one transaction of the same amount, and the reverse.",
        ),
        ("postings sum to zero", "Debits equal credits, per transaction and currency."),
    )
    for invariant in ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I10", "I11"):
        for name, what in whats:
            yield Check(invariant, f"{name} ({invariant})", what, chance.randrange(500, 200_000), 0)


def _mutants() -> Iterator[Mutant]:
    yield Mutant(
        "drop the key",
        "Requests go to the processor without a key",
        "I1 charged once",
        "31 payments charged twice",
        41.2,
    )
    yield Mutant(
        "no claim", "The charge comes before the row", "I2 journal and ledger agree", "4 captures without a row", 44.0
    )
    yield Mutant(
        "swallow 40001", "A failed commit counts as done", "I2 journal and ledger agree", "9 captures unposted", 102.7
    )


def _evidence(number: int) -> dict[str, object]:
    return {
        "processor": [
            {"operation": "capture", "amount": 1250 + number, "currency": "EUR", "key": f"capture-{n}-9f2c51"}
            for n in (1, 2)
        ],
        "ledger": {"amount_captured": 1250 + number},
        "why": "captured twice",
    }
