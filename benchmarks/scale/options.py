"""The command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.arguments import Parser, add_places, check_places, number
from benchmarks.scale.plan import ScalePlan

_CLIENTS_MAX: Final = 512
_PAYMENTS_MAX: Final = 9_999_999
# Opened, measured and verified within an hour: the gateway makes an hour of any longer Retry-After.
_OPEN_MAX: Final = 99_999

_DESCRIPTION: Final = """\
Shows that the cost of a payment stays the same on one fresh paysaga: with many payments in the books, with many that
wait for the processor, and with a backlog that piled up without a worker. Verifies every payment against the
processor's journal. By default about half an hour on two cores. Run nothing else meanwhile."""


class _Options(argparse.Namespace):
    payments: int
    open: int
    backlog: int
    clients: int
    sample: int
    json: Path | None
    scratch: Path | None


def parse(arguments: Sequence[str] | None) -> ScalePlan:
    """The plan that the arguments ask for. Exits with 2 and one line when they are wrong."""
    parser = _parser()
    options = parser.parse_args(arguments, namespace=_Options())
    check_places(parser, options.json, options.scratch)
    return ScalePlan(
        payments=options.payments,
        open=options.open,
        backlog=options.backlog,
        clients=options.clients,
        sample=options.sample,
        json_file=options.json,
        scratch=options.scratch,
    )


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.scale", description=_DESCRIPTION)
    for name, highest, default, what in (
        ("payments", _PAYMENTS_MAX, 100_000, "how many are in the books before the second sample"),
        ("open", _OPEN_MAX, 20_000, "how many wait for the processor during the third"),
        ("backlog", _PAYMENTS_MAX, 5_000, "how many pile up while no worker runs"),
        ("clients", _CLIENTS_MAX, 32, "how many clients send at once, each its next payment when it has the answer"),
        ("sample", _PAYMENTS_MAX, 600, "payments of each measurement"),
    ):
        parser.add_argument(
            f"--{name}", type=number(highest), default=default, metavar="N", help=f"{what} (default: {default})"
        )
    add_places(parser, "a phase is done")
    return parser
