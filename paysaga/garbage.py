"""Python's garbage collector, set for a process that runs for weeks."""

import gc
from typing import Final

# Python looks for cycles after every 700 new objects, which a payment makes many times; a twentieth of a worker's CPU
# went into it. What is collected later instead are some megabytes.
_NEW_OBJECTS: Final = 50_000


def collect_seldom() -> None:
    """Call it when everything is imported and opened: what is there now stays, and isn't looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
