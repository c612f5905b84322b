"""What the command lines have in common."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def number(highest: int) -> Callable[[str], int]:
    """Reads a number from 1 to `highest`."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {highest}")
        return int(text)

    return read


def add_places(parser: argparse.ArgumentParser, json_when: str) -> None:
    """--json and --scratch."""
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"write all figures there, anew whenever {json_when}")
    parser.add_argument(
        "--scratch",
        type=Path,
        metavar="DIR",
        help="where the servers' data is for as long as they run; on the disk to be measured (default: the system's)",
    )


def check_places(parser: argparse.ArgumentParser, json_file: Path | None, scratch: Path | None) -> None:
    """Better said now than after a quarter of an hour. Exits with 2 and one line."""
    if json_file is not None and (problem := _not_writable(json_file)):
        parser.error(f"argument --json: {problem}")
    if scratch is not None and not scratch.is_dir():
        parser.error(f"argument --scratch: {scratch} is not a directory")


def _not_writable(file: Path) -> str | None:
    if file.is_dir():
        return f"{file} is a directory"
    if not file.parent.is_dir():
        return f"there is no directory {file.parent}"
    return None if os.access(file.parent, os.W_OK) else f"{file.parent} can't be written to"
