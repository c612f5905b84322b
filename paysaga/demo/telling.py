"""The life of `paysaga demo`: find or start a stack, tell the story, say whether it was as told."""

import asyncio
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg

from paysaga.demo.running import running_stack
from paysaga.demo.service import NotAsTold, open_service
from paysaga.demo.story import STORY, Demo, Step
from paysaga.demo.terminal import Terminal
from paysaga.dev.data_dir import DataDir
from paysaga.dev.errors import DevStackError

# A step that hangs must not hang the demo.
_STEP_SECONDS: Final = 60
_OUTAGES: Final = (aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


def main(data_dir: Path) -> int:
    try:
        return asyncio.run(_main(DataDir(data_dir)))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    except BrokenPipeError:  # nobody reads any more
        return 1
    except (DevStackError, *_OUTAGES) as error:
        print(f"paysaga: {error}", file=sys.stderr)
        return 1


async def _main(data: DataDir) -> int:
    work = asyncio.ensure_future(_show(data))
    for number in (signal.SIGTERM, signal.SIGHUP):  # Ctrl-C does the same by itself
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    return await work


async def _show(data: DataDir) -> int:
    terminal = Terminal()
    terminal.line("paysaga demo: a payment is charged exactly once or not at all, whatever fails.")
    begun = time.monotonic()
    async with running_stack(data, terminal) as stack, open_service(data, stack.addresses) as service:
        terminal.line(f"Temporal Web UI: {stack.addresses['TEMPORAL_UI_URL']}")
        terminal.legend()
        await tell(STORY, Demo(service, terminal))
    code = verdict(terminal, len(STORY), time.monotonic() - begun)
    if stack.own:
        where = shlex.quote(str(data.path))
        terminal.line(f"The stack is stopped, its payments are kept. To look around: paysaga dev --data-dir {where}")
    return code


async def tell(story: Mapping[str, Step], demo: Demo) -> None:
    """One step after the other, also after one that was not as told."""
    for number, (title, step) in enumerate(story.items(), start=1):
        demo.terminal.step(f"{number}. {title}")
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                await step(demo)
        except TimeoutError:
            demo.terminal.check("done in time", ok=False)
        except NotAsTold as problem:
            demo.terminal.check(str(problem), ok=False)
        except (*_OUTAGES, KeyError, TypeError, ValueError) as error:
            demo.terminal.check("an answer", ok=False, got=f"{type(error).__name__}: {error}")


def verdict(terminal: Terminal, steps: int, seconds: float) -> int:
    """The exit code."""
    terminal.line()
    if not terminal.not_as_told:
        terminal.line(f"All {steps} steps were as told, in {seconds:.0f} s.")
        return 0
    terminal.line("Not as told:")
    for what in terminal.not_as_told:
        terminal.line(f"  - {what}")
    return 1
