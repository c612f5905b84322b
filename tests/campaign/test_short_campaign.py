"""A whole campaign, as `paysaga prove` runs it: every fault happens, and the auditor finds nothing."""

import asyncio
from pathlib import Path

import pytest

from paysaga.dev.services import start_program
from prove.faults import FAULTS
from prove.result import read

SEED = 20261123
PAYMENTS = 150
MINUTES = 2
# Beside other tests a machine is slow, and faults that met nobody get more turns.
SECONDS = 540


@pytest.mark.timeout(SECONDS + 60)
async def test_payments_under_every_fault_are_charged_once_or_not_at_all_and_everybody_is_told_which(
    tmp_path: Path,
) -> None:
    arguments = ["--seed", str(SEED), "--payments", str(PAYMENTS), "--minutes", str(MINUTES)]
    report = ["--report", str(tmp_path / "report"), "--keep", str(tmp_path / "data")]
    campaign = await start_program("paysaga", "prove", *arguments, *report, log=tmp_path / "prove.log")
    try:
        code = await asyncio.wait_for(campaign.wait(), SECONDS)
    finally:
        await campaign.stop()
    assert code == 0, (tmp_path / "prove.log").read_text()
    result = read(tmp_path / "report" / "proof.json")
    assert result.problems == ()
    assert {fault.name for fault in result.faults if fault.fired} == {fault.name for fault in FAULTS}
    assert result.counts["payments"] >= PAYMENTS
    assert result.audit is not None
    assert result.audit.violations == ()
    assert [check.name for check in result.audit.checks if not check.looked_at] == []
