"""What `paysaga dev` tells the person who started it."""

import os
import secrets
import sys
import time
from pathlib import Path

from paysaga.dev.errors import DevStackError, ProcessFailed

_LOG_LINES = 15


class Console:
    """Plain lines. If nobody reads them any more (a closed pipe), the stack goes on."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def line(self, text: str = "") -> None:
        try:
            print(text, flush=True)
        except (OSError, ValueError):
            _discard_stdout()

    def step(self, name: str, what: str) -> None:
        self.line(f"{self.seconds:6.1f} s  {name:<11} {what}")

    def error(self, error: DevStackError) -> None:
        lines = [f"paysaga: {error}"]
        if isinstance(error, ProcessFailed):
            last = [line for line in error.last_lines.splitlines() if line.strip()][-_LOG_LINES:]
            lines += [f"    {line}" for line in last] + [f"  The whole log: {error.log}"]
        for line in lines:
            try:
                print(line, file=sys.stderr, flush=True)
            except (OSError, ValueError):
                return

    def ready(self, addresses: dict[str, str], data_dir: Path) -> None:
        self.line()
        self.line(f"paysaga is ready after {self.seconds:.1f} s")
        self.line()
        self.addresses(addresses, data_dir)
        self.line()
        self.line("Move some money:")
        self.line()
        self.line(example_call(addresses["PAYSAGA_API_URL"], addresses["PAYSAGA_API_KEY"]))
        self.line()
        self.line("Ctrl-C stops everything; the payments stay.")

    def addresses(self, addresses: dict[str, str], data_dir: Path) -> None:
        api = addresses.get("PAYSAGA_API_URL", "")
        rows = {
            "API": api,
            "API docs": f"{api}/docs",
            "API key": addresses.get("PAYSAGA_API_KEY", ""),
            "Temporal UI": addresses.get("TEMPORAL_UI_URL", ""),
            "Temporal": addresses.get("TEMPORAL_ADDRESS", ""),
            "Processor": f"{addresses.get('PAYSAGA_PROCESSOR_URL', '')}/journal",
            "PostgreSQL": addresses.get("PAYSAGA_DATABASE_URL", ""),
            "Settings": f"{data_dir / 'env'}",
            "Logs": f"{data_dir}{os.sep}*.log",
        }
        for name, value in rows.items():
            self.line(f"  {name:<12} {value}")


def example_call(api_url: str, api_key: str) -> str:
    """A payment to paste into a shell; a new one each time."""
    order = secrets.token_hex(4)
    body = f'{{"amount": 4990, "currency": "EUR", "payment_method": "pm_card_visa", "order_id": "{order}"}}'
    return " \\\n  ".join(
        [
            f"curl -sS -X POST {api_url}/v1/payments",
            f"-H 'Authorization: Bearer {api_key}'",
            f"-H 'Idempotency-Key: order-{order}'",
            "-H 'Content-Type: application/json'",
            f"-d '{body}'",
        ]
    )


def _discard_stdout() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        return
    finally:
        os.close(null)
