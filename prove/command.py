"""`paysaga prove`: runs a campaign, says how it went and writes the report."""

import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import uvloop

from paysaga.dev.errors import DevStackError
from prove.auditing import AuditFailed
from prove.campaign import Campaign
from prove.catalogue import Fault, Lane, Unknown, chosen
from prove.faults import FAULTS
from prove.mutants.copies import CopyFailed
from prove.mutants.planted import Malformed, planted
from prove.mutants.runner import NotProven, Runner, noted
from prove.options import Options
from prove.plan import plan
from prove.report.page import write_page
from prove.report.summary import summary
from prove.result import Result, read, write

FAILED: Final = 1
WRONG: Final = 2
_STEPS_SHOWN: Final = 40
# Others pass through it: PostgreSQL doesn't run as root.
_DIRECTORY_MODE: Final = 0o711


def run(options: Options, *, only_plan: bool = False) -> int:
    """The exit code: 0 when every fault has happened and nothing is violated, 1 when not, 2 for a fault that doesn't
    exist or a stack that can't be started."""
    try:
        faults = chosen(FAULTS, options.faults)
    except Unknown as error:
        _say(f"paysaga: {error}. Known are:")
        for fault in FAULTS:
            _say(f"  {fault.name:34} {' '.join(fault.covers):12} {fault.what}")
        return WRONG
    if only_plan:
        _show_plan(options.seed, faults)
        return 0
    try:
        with _folder(options.keep) as data:
            result = uvloop.run(_campaign(options, faults, data))
    except (DevStackError, AuditFailed) as error:
        _say(f"paysaga: {error}")
        return WRONG
    page = write_report(result, options.report)
    _say("")
    _say(summary(result))
    _say(f"report: {page}")
    return 0 if result.passed else FAILED


def run_mutants(options: Options, only: str | None) -> int:
    """The exit code: 0 when every planted bug was noticed, 1 when not, 2 when nothing can be said of them."""
    # SIGTERM stops what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result, found = uvloop.run(Runner(options, _say).run(planted(only)))
    except (Malformed, CopyFailed, NotProven) as error:
        _say(f"paysaga: {error}")
        return WRONG
    # Into the report of the campaign in this folder, if there is one.
    campaign = options.report / "proof.json"
    page = write_report(noted(read(campaign) if campaign.exists() else result, found), options.report)
    caught = sum(mutant.caught_by is not None for mutant in found)
    _say(f"{caught} of {len(found)} planted bugs were noticed; report: {page}")
    return 0 if caught == len(found) else FAILED


async def _campaign(options: Options, faults: list[Fault], data: Path) -> Result:
    return await Campaign(options, faults, _say).run(data)


def write_report(result: Result, folder: Path) -> Path:
    """As `proof.html`, whose path is returned, and `proof.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    write(result, folder / "proof.json")
    write_page(result, folder / "proof.html")
    return folder / "proof.html"


@contextmanager
def _folder(keep: Path | None) -> Generator[Path]:
    # SIGTERM stops what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY_MODE)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="paysaga-prove-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(_DIRECTORY_MODE)
        yield Path(folder)


def _show_plan(seed: int, faults: list[Fault]) -> None:
    for lane in Lane:
        _say(f"{lane.value}:")
        mine = [fault for fault in faults if fault.lane is lane]
        for step in islice(plan(seed, mine), _STEPS_SHOWN):
            _say(f"  after {step.pause:.1f} s  {step.fault.name:34} {step.fault.what}")


def _say(line: str) -> None:
    print(line, flush=True)
