"""A benchmark that finds something wrong, or is interrupted."""

import asyncio
import signal
import time
from pathlib import Path

import aiohttp
import psutil
import pytest

from benchmarks.__main__ import benchmark
from benchmarks.plan import Plan, cells_for
from benchmarks.systems.handwritten.system import Handwritten
from tests.e2e.dev import still_running
from tests.e2e.test_benchmarks import start

pytestmark = pytest.mark.benchmarks


class Overcharging(Handwritten):
    """A service that charges somebody and forgets it."""

    async def start(self) -> None:
        await super().start()
        body = {"payment_id": "forgotten", "amount": 1, "currency": "EUR", "payment_method": "pm_card_visa"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.sandbox.url}/v1/authorizations", json=body, headers={"Idempotency-Key": "any"}
            ) as reply,
        ):
            assert reply.status == 200, await reply.text()


def test_a_charge_that_nobody_recorded_fails_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan([Overcharging.name], cells_for([2], [4]), rounds=1, scratch=tmp_path)
    assert asyncio.run(benchmark(plan, {Overcharging.name: Overcharging})) == 1
    written = capsys.readouterr()
    assert "forgotten: nobody asked for it" in written.err
    assert written.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_stops_everything(tmp_path: Path) -> None:
    run = start(tmp_path, "--systems", "handwritten", "--clients", "2", "--payments", "90000")
    assert run.stderr is not None
    try:
        assert "ready after" in run.stderr.readline()
        everything = psutil.Process(run.pid).children(recursive=True)
        time.sleep(1)  # in the middle of the payments
        run.send_signal(signal.SIGINT)
        _, rest = run.communicate(timeout=30)
    finally:
        run.kill()
    assert run.returncode == 130
    assert rest.splitlines() == ["benchmarks: interrupted; all is stopped"]
    assert len(everything) >= 4
    assert still_running(everything, seconds=2) == []
    assert list(tmp_path.iterdir()) == []
