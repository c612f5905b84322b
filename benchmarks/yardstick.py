"""How fast the machine is at this moment: virtual machines share their cores, and their speed drifts."""

import hashlib
import json
import time
from typing import Final

# About a tenth of a second: long enough to be told from the clock's ticks, short beside what is measured.
_ROUNDS: Final = 2_000


def yardstick_ms() -> float:
    """CPU time in ms of a fixed piece of work, of the kind that a service does. More is slower."""
    begun = time.process_time()
    value: dict[str, object] = {"id": "payment", "amounts": list(range(50)), "digest": ""}
    for _ in range(_ROUNDS):
        text = json.dumps(value)
        value = json.loads(text) | {"digest": hashlib.sha256(text.encode()).hexdigest()}
    return (time.process_time() - begun) * 1000
