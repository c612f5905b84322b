"""The systems under test, by the names that the command line takes."""

from collections.abc import Mapping, Sequence

from benchmarks.systems.base import System
from benchmarks.systems.handwritten.system import Handwritten
from benchmarks.systems.paysaga import Paysaga, PaysagaOne
from benchmarks.systems.textbook.system import Textbook, TextbookTuned

SYSTEMS: Mapping[str, type[System]] = {
    system.name: system for system in (Paysaga, PaysagaOne, Textbook, TextbookTuned, Handwritten)
}


def with_companions(names: Sequence[str]) -> list[str]:
    """The names, once each. After the textbook comes the same on our server's settings, which shows how much of a
    difference is theirs."""
    wanted: list[str] = []
    for name in names:
        wanted += [name, TextbookTuned.name] if name == Textbook.name else [name]
    return list(dict.fromkeys(wanted))
