"""The command line, typed and checked."""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.moment import DAY, USUAL, Terms
from sandbox.webhooks import Listener

SIGNED_WITH = "SANDBOX_WEBHOOK_SECRET"
LONGEST = 3650 * DAY


class Options(argparse.Namespace):
    host: str
    port: int
    data: Path
    key_window: float
    hold_period: float
    action_period: float
    refund_fails_after: float
    public_url: str | None
    webhook_url: str | None
    webhook_events: str

    @property
    def terms(self) -> Terms:
        return Terms(
            hold_period=self.hold_period,
            action_period=self.action_period,
            refund_fails_after=self.refund_fails_after,
            tells_all=self.webhook_events == "all",
        )


def read(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="sandbox",
        description="A card processor to test against.",
        epilog=f"The secret that signs webhooks is read from {SIGNED_WITH}: command lines can be read by everybody.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0 takes any free port")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE.sqlite")
    _add_periods(parser)
    parser.add_argument(
        "--public-url", type=_url, metavar="URL", help="where customers reach us; by default where the client does"
    )
    parser.add_argument("--webhook-url", type=_url, metavar="URL", help="where events are sent; by default nowhere")
    parser.add_argument(
        "--webhook-events",
        choices=("later", "all"),
        default="later",
        help="only what happens after the answer (default), or every operation",
    )
    return parser.parse_args(argv, namespace=Options())


def listener(options: Options, environment: Mapping[str, str] = os.environ) -> Listener | None:
    """Whom to tell. Raises `ValueError` without a secret: nobody should learn to trust unsigned events."""
    if options.webhook_url is None:
        return None
    secret = environment.get(SIGNED_WITH)
    if not secret:
        raise ValueError(f"--webhook-url needs a secret in {SIGNED_WITH}")
    return Listener(options.webhook_url, os.fsencode(secret))


def _add_periods(parser: argparse.ArgumentParser) -> None:
    for flag, default, meaning in (
        ("--key-window", DAY, "how long idempotency keys are kept; afterwards the same key executes again"),
        ("--hold-period", USUAL.hold_period, "how long money is held unless it is captured"),
        ("--action-period", USUAL.action_period, "how long a customer has to confirm"),
        ("--refund-fails-after", USUAL.refund_fails_after, "when refunds of pm_card_refundFail turn to failed"),
    ):
        parser.add_argument(flag, type=_seconds, default=default, metavar="SECONDS", help=meaning)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {LONGEST:.0f}")
    return seconds


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text} is not an http or https URL")
    return text
