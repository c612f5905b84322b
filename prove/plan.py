"""The seeded plan: which fault comes when. The same seed gives the same plan; what comes of it is up to the machine."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from prove.catalogue import Fault

# Between the end of one fault and the next one of its lane, in seconds.
PAUSE: Final = (0.1, 0.5)


@dataclass(frozen=True)
class Step:
    """One fault of the plan, after a pause in seconds; `seed` is where it draws its own choices from."""

    fault: Fault
    pause: float
    seed: str

    def random(self) -> Random:
        """Anew for each use, so that a step comes out the same."""
        return Random(self.seed)


def plan(seed: int, faults: Sequence[Fault]) -> Generator[Step]:
    """Without end: every fault once in an order of its own, then every fault again in another."""
    if not faults:
        return
    lane = faults[0].lane.value
    random = Random(f"{seed}-{lane}")
    number = 0
    while True:
        for fault in random.sample(faults, len(faults)):
            number += 1
            yield Step(fault, random.uniform(*PAUSE), f"{seed}-{lane}-{number}-{fault.name}")
