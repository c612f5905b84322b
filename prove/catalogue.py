"""What a fault is: a name, what it covers of the fault matrix, and how it is made to happen."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import TYPE_CHECKING

from prove.result import Kind

if TYPE_CHECKING:
    from prove.field import Field

Inject = Callable[["Field", Random], Awaitable[str | None]]
"""Makes it happen, and undoes it. Returns what happened in a few words; None when it did not."""


class Lane(Enum):
    """Faults of one lane come one after another; the lanes go on beside each other."""

    BREAKS = "breaks"
    """Takes something away from everybody: a process, a connection, a database that can be written."""
    MISBEHAVES = "misbehaves"
    """Concerns one payment: a processor that lies, a client or a person that does what nobody should."""


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong."""

    name: str
    covers: tuple[str, ...]
    what: str
    kind: Kind
    lane: Lane
    inject: Inject


class Unknown(ValueError):
    """No fault has this name, and none covers this id."""


def chosen(faults: Iterable[Fault], wanted: tuple[str, ...]) -> list[Fault]:
    """Those with one of these names or ids; all when none is wanted. Raises `Unknown`."""
    every = list(faults)
    known = {fault.name for fault in every} | {id_ for fault in every for id_ in fault.covers}
    if unknown := [each for each in wanted if each not in known]:
        raise Unknown(f"no such fault: {', '.join(unknown)}")
    return [fault for fault in every if not wanted or fault.name in wanted or set(wanted) & set(fault.covers)]
