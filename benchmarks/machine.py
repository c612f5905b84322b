"""Where and with what it was measured."""

import asyncio
import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel

from benchmarks.usage import MEMORY_KIND
from paysaga.dev.postgres import binary as postgres_binary
from paysaga.dev.temporal import binary as temporal_binary

# What serves or sends HTTP decides much of a fast system's figures.
_PACKAGES = ("temporalio", "fastapi", "pydantic", "uvicorn", "uvloop", "httptools", "aiohttp", "asyncpg")


class Machine(BaseModel):
    """Versions as their programs say them; None for a package that isn't installed."""

    date: str
    cpu_count: int
    memory_kind: str
    system: str
    python: str
    temporal_server: str
    postgres: str
    packages: dict[str, str | None]


async def describe() -> Machine:
    """This machine, now."""
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu_count=os.cpu_count() or 1,
        memory_kind=MEMORY_KIND,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        temporal_server=_number(await _says(temporal_binary()), r"Server ([\w.-]+)"),
        postgres=_number(await _says(postgres_binary("postgres")), r"PostgreSQL\) ([\w.]+)"),
        packages={name: _version(name) for name in _PACKAGES},
    )


async def _says(program: Path) -> str:
    process = await asyncio.create_subprocess_exec(program, "--version", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()


def _number(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found.group(1) if found else text.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
