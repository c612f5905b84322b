"""Counts what was armed and what has really happened."""

import time
from collections import Counter
from collections.abc import Iterable

from prove.catalogue import Fault
from prove.result import FaultCount, Injection


class Tally:
    """What became of each fault. An armed fault that never fired proves nothing, so the campaign fails."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.began = time.time()
        self.injections: list[Injection] = []
        self._faults = list(faults)
        self._armed: Counter[str] = Counter()
        self._fired: Counter[str] = Counter()

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.time() - self.began

    def add(self, fault: Fault, at: float, note: str | None, failure: str = "") -> None:
        """An injection that began then is over; `note` says what happened, None that nothing did."""
        self._armed[fault.name] += 1
        self._fired[fault.name] += note is not None
        said = note if note is not None else failure
        self.injections.append(Injection(fault.name, fault.kind, at, self.now(), note is not None, said))

    def never_fired(self) -> list[Fault]:
        """What is still to be shown."""
        return [fault for fault in self._faults if not self._fired[fault.name]]

    def counts(self) -> tuple[FaultCount, ...]:
        """Of every fault of the campaign."""
        return tuple(
            FaultCount(f.name, f.covers, f.what, f.kind, self._armed[f.name], self._fired[f.name]) for f in self._faults
        )
