"""What a campaign comes to: the JSON report, and what its page is drawn from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter

Kind = Literal["kill", "cut", "other"]
"""A process killed or stopped; a connection broken, stalled or refused; anything else."""


@dataclass(frozen=True)
class FaultCount:
    """How often one fault was armed, and how often it has really happened."""

    name: str
    covers: tuple[str, ...]
    """Ids of the fault matrix, as F06."""
    what: str
    kind: Kind
    armed: int
    fired: int


@dataclass(frozen=True)
class LeftOut:
    """A fault of the matrix that this campaign doesn't have."""

    id: str
    why: str


@dataclass(frozen=True)
class Injection:
    """One fault, when it was armed and when it was over, in seconds since the beginning."""

    name: str
    kind: Kind
    at: float
    until: float
    fired: bool
    note: str = ""
    """What happened, in a few words: `killed worker-2`."""
    target: str = ""
    """What was killed (`worker`), or between whom a connection was broken (`worker to PostgreSQL`)."""


@dataclass(frozen=True)
class Recovery:
    """From the death of a process to the first new payment that is decided, in seconds."""

    target: str
    at: float
    seconds: float


@dataclass(frozen=True)
class Sample:
    """Resident memory of a process, in bytes, so many seconds since the beginning."""

    process: str
    pid: int
    at: float
    bytes: int


@dataclass(frozen=True)
class Check:
    """One invariant's query: how many rows it has looked at, how many of them break it."""

    invariant: str
    name: str
    what: str
    looked_at: int
    violations: int


@dataclass(frozen=True)
class Violation:
    """One row that breaks an invariant."""

    invariant: str
    check: str
    payment_id: str | None
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Audit:
    """What the auditor printed."""

    checks: tuple[Check, ...]
    violations: tuple[Violation, ...]


@dataclass(frozen=True)
class Mutant:
    """A bug planted in a copy, and what noticed it; nothing did when `caught_by` is None."""

    name: str
    what: str
    caught_by: str | None
    evidence: str
    seconds: float


@dataclass(frozen=True)
class Result:
    """One campaign."""

    seed: int
    started_at: str
    seconds: float
    options: dict[str, Any]
    versions: dict[str, str]
    processes: dict[str, int]
    counts: dict[str, int]
    answers: dict[str, int]
    """How often each HTTP status was answered; `none` where no answer came."""
    faults: tuple[FaultCount, ...]
    left_out: tuple[LeftOut, ...]
    injections: tuple[Injection, ...]
    decided_each_second: tuple[int, ...]
    recoveries: tuple[Recovery, ...]
    memory: tuple[Sample, ...]
    audit: Audit | None
    problems: tuple[str, ...] = ()
    """Why it failed; passed when there is none."""
    mutants: tuple[Mutant, ...] = field(default=())

    @property
    def passed(self) -> bool:
        return not self.problems


RESULT: Final = TypeAdapter(Result)


def write(result: Result, path: Path) -> None:
    """As JSON, with every field."""
    path.write_bytes(RESULT.dump_json(result, indent=1) + b"\n")


def read(path: Path) -> Result:
    """What `write` has written."""
    return RESULT.validate_json(path.read_bytes())
