"""The command line."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.arguments import Parser, add_places, check_places, number
from benchmarks.plan import Plan, cells_for

_CLIENTS_MAX: Final = 512
_PAYMENTS_MAX: Final = 99_999
_ROUNDS_MAX: Final = 99

_DESCRIPTION: Final = """\
Measures what a payment costs: paysaga beside the same service as others would build it. Each round starts
every system on servers of its own; they take turns under load, and every payment is verified against the processor's
journal. By default some twenty minutes on two cores (estimated). Run nothing else meanwhile."""


class _Options(argparse.Namespace):
    systems: list[str]
    clients: list[int]
    payments: list[int]
    rounds: int
    json: Path | None
    scratch: Path | None


def parse(arguments: Sequence[str] | None, names: Iterable[str], expand: Callable[[Sequence[str]], list[str]]) -> Plan:
    """The plan that the arguments ask for. Exits with 2 and one line when they are wrong."""
    known = list(names)
    parser = _parser(known)
    options = parser.parse_args(arguments, namespace=_Options())
    try:
        cells = cells_for(list(dict.fromkeys(options.clients)), options.payments)
    except ValueError as error:
        parser.error(str(error))
    check_places(parser, options.json, options.scratch)
    return Plan(expand(options.systems), cells, options.rounds, options.json, options.scratch)


def _parser(known: Sequence[str]) -> argparse.ArgumentParser:
    parser = Parser(prog="python -m benchmarks", description=_DESCRIPTION)
    add = parser.add_argument
    add(
        "--systems",
        type=_names(known),
        default=["paysaga", "textbook", "handwritten"],
        metavar="NAME,...",
        help=f"of {', '.join(known)}; textbook brings textbook-tuned with it (default: paysaga,textbook,handwritten)",
    )
    add(
        "--clients",
        type=_numbers(_CLIENTS_MAX),
        default=[1, 8, 32, 128],
        metavar="N,...",
        help="how many clients send at once, each its next payment when it has the answer (default: 1,8,32,128)",
    )
    add(
        "--payments",
        type=_numbers(_PAYMENTS_MAX),
        default=[],
        metavar="N",
        help="payments of each measurement, or one number for each of --clients "
        "(default: 100 and 10 more for each client, and several times as many for a fast system)",
    )
    add(
        "--rounds",
        type=number(_ROUNDS_MAX),
        default=3,
        metavar="R",
        help="how often all is measured, each time on fresh servers (default: 3)",
    )
    add_places(parser, "a round is done")
    return parser


def _numbers(highest: int) -> Callable[[str], list[int]]:
    read = number(highest)
    return lambda text: [read(part.strip()) for part in text.split(",")]


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = [part.strip() for part in text.split(",")]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(known)}")
        return names

    return read
