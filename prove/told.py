"""What clients were told: one JSON object on each line, in the order of writing. The auditor reads it."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

Json = dict[str, Any]


class Told:
    """The clients' log. Only this process writes it, and nobody kills this process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: Counter[str] = Counter()
        """How often each status was answered; `none` where no answer came."""
        self.decided: list[tuple[float, float]] = []
        """When each new payment was asked for and when it was decided, in seconds since the epoch."""
        self._file: IO[str] = path.open("w", encoding="utf-8")

    def answer(self, line: Json) -> None:
        """A request and what came of it."""
        status = line["status"]
        self.answers["none" if status is None else str(status)] += 1
        self._write({"kind": "answer", "at": time.time()} | line)

    def note(self, kind: str, **fields: Any) -> None:
        """Anything else: a signal, a walk through a list, a hash of the books."""
        self._write({"kind": kind, "at": time.time()} | fields)

    def close(self) -> None:
        """Nothing is written after it."""
        self._file.close()

    def flush(self) -> None:
        """For whoever reads it meanwhile."""
        self._file.flush()

    def _write(self, line: Json) -> None:
        self._file.write(json.dumps(line, ensure_ascii=True) + "\n")
