"""The clock of this process is wrong by so many seconds.

Python imports a module of this name as it starts, so whoever has this folder on its PYTHONPATH has such a clock: only
processes of the campaign, and only for a while."""

import os
import time
from datetime import UTC, datetime

import time_machine

time_machine.travel(time.time() + float(os.environ["PROVE_CLOCK_SECONDS"]), tick=True).start()
print(f"clock {datetime.now(UTC).timestamp()}", flush=True)
