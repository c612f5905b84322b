"""Where the figures go: a JSON file for programs, tables for people."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.ratios import ratios
from benchmarks.results import Round, by_cell, middle
from benchmarks.table import ratio_table, table


def write_json(file: Path, machine: Machine, rounds: Sequence[Round]) -> None:
    """The medians as `rows`, and the rounds they come from."""
    content = {
        "machine": machine.model_dump(),
        "rows": [middle(cell).model_dump() for cell in by_cell(rounds)],
        "ratios": [ratio.model_dump() for ratio in ratios(rounds)],
        "rounds": [each.model_dump() for each in rounds],
    }
    replace_json(file, content)


def replace_json(file: Path, content: Mapping[str, object]) -> None:
    """As a whole: never half a file."""
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    new.replace(file)


def text(rounds: Sequence[Round], labels: Mapping[str, str]) -> str:
    """The table, and the ratios below it."""
    measured = {each.system for each in rounds}
    shown = {name: label for name, label in labels.items() if name in measured}
    return f"{table(by_cell(rounds), shown)}\n\n{ratio_table(ratios(rounds))}"
