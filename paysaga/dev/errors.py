"""What can go wrong with the stack, in words for the person who started it."""

from pathlib import Path


class DevStackError(Exception):
    """One line that says what is wrong and what to do."""


class ProcessFailed(DevStackError):
    """A process of the stack ended, or didn't answer in time, while it was being started."""

    def __init__(self, message: str, *, log: Path, last_lines: str) -> None:
        super().__init__(message)
        self.log = log
        self.last_lines = last_lines
