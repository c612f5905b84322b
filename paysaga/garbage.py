"""Python's garbage collector, set for a process that runs for weeks."""

import gc
from typing import Final

# Python looks for cycles after every 700 new objects, which a payment makes many times; a twentieth of a worker's CPU
# went into it.
_NEW_OBJECTS: Final = 50_000
# A worker keeps the last thousand workflows, so each is old when it becomes garbage, and only a look at all finds
# it: after some four thousand payments, which leave some fifty megabytes. With 20 and 20 a gigabyte grew in 100,000.
_YOUNG_LOOKS: Final = 5
_MIDDLE_LOOKS: Final = 2


def collect_seldom() -> None:
    """Call it when everything is imported and opened: what is there now stays, and isn't looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _YOUNG_LOOKS, _MIDDLE_LOOKS)
