"""What the demo shows: lines that read the same on a terminal and in a file."""

import asyncio
import os
import shutil
import sys
import textwrap
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, TextIO

_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "1;31"
_TICK_SECONDS: Final = 0.5
_INDENT: Final = " " * 6
_COLUMNS: Final = 112
# For a terminal or a file that can't hold these signs.
_ASCII: Final = {"→": ">", "←": "<", "✓": "ok", "✗": "NOT"}


class Terminal:
    """Tells the steps and keeps what was not as told. Colours and a running clock only where somebody watches."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._watched = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._watched and not os.environ.get("NO_COLOR")
        self._columns = min(shutil.get_terminal_size().columns, _COLUMNS) if self._watched else _COLUMNS
        self._step = ""
        self.not_as_told: list[str] = []

    def line(self, text: str = "") -> None:
        if self._watched:
            self._out.write("\r\033[K")
        self._out.write(self._written(text) + "\n")
        self._out.flush()

    def legend(self) -> None:
        self.line(self._in(_DIM, "→ what is done, ← what happens, ✓ as told, ✗ not as told"))

    def step(self, title: str) -> None:
        self._step = title
        self.line()
        self.line(self._in(_BOLD, title))

    def does(self, what: str) -> None:
        """What the demo does now."""
        self._sign("→", what)

    def saw(self, what: str) -> None:
        """What happened."""
        self._sign("←", what)

    def note(self, what: str) -> None:
        """What a reader should know beside it."""
        for line in self._wrapped(what):
            self.line(self._in(_DIM, _INDENT + line))

    def check(self, expected: str, *, ok: bool, got: object = None) -> None:
        """Compare what happened with what was told."""
        if ok:
            self._sign("✓", expected, _GREEN)
            return
        but = expected if got is None else f"{expected}; but it was: {got}"
        self._sign("✗", but, _RED)
        self.not_as_told.append(f"{self._step}: {but}" if self._step else but)

    @asynccontextmanager
    async def clock(self, what: str) -> AsyncGenerator[None]:
        """Show the seconds that pass, in one line that is gone afterwards."""
        ticking = asyncio.create_task(self._tick(what))
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            self._show("")

    async def _tick(self, what: str) -> None:
        begun = time.monotonic()
        while True:
            self._show(self._in(_DIM, f"{_INDENT}{time.monotonic() - begun:.0f} s  {what}"))
            await asyncio.sleep(_TICK_SECONDS)

    def _show(self, text: str) -> None:
        if self._watched:
            self._out.write(f"\r\033[K{self._written(text)}")
            self._out.flush()

    def _sign(self, sign: str, text: str, colour: str = _DIM) -> None:
        first, *more = self._wrapped(text)
        self.line(f"   {self._in(colour, sign)}  {first}")
        for line in more:
            self.line(_INDENT + line)

    def _in(self, colour: str, text: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._coloured else text

    def _written(self, text: str) -> str:
        encoding = self._out.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            for sign, word in _ASCII.items():
                text = text.replace(sign, word)
            return text.encode(encoding, "replace").decode(encoding)
        return text

    def _wrapped(self, text: str) -> list[str]:
        """Addresses and keys stay whole."""
        width = max(self._columns - len(_INDENT), 40)
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
