"""What was running: for whoever wants to see the same."""

import asyncio
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client

from prove.field import Field

_ROOT: Final = Path(__file__).parents[1]
_PACKAGES: Final = ("paysaga", "temporalio", "asyncpg", "fastapi")


async def versions(field: Field) -> dict[str, str]:
    """By name."""
    async with field.database() as db:
        postgres: str = await db.fetchval("SHOW server_version")
    return {
        "commit": await asyncio.to_thread(_commit),
        **{name: _installed(name) for name in _PACKAGES},
        "Python": platform.python_version(),
        "PostgreSQL": postgres,
        "Temporal": await _temporal(field.temporal),
        "system": platform.platform(terse=True),
    }


def _commit() -> str:
    """Of the code that ran; with a plus if it has been changed since."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


async def _temporal(client: Client) -> str:
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    return info.server_version
