"""Copies of the repository: what is tracked, in a folder of its own, with a bug or without."""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Final

from paysaga.dev.process import clean_environment

ROOT: Final = Path(__file__).parents[2]
# What a campaign runs and what tests need. The proof of it is no part of what is patched.
_NEEDED: Final = (
    "activities", "api", "gateways", "ledger", "payments", "paysaga", "prove", "sandbox", "workflows", "tests",
    "pyproject.toml",
)  # fmt: skip
_WHERE: Final = "import paysaga, prove, api, ledger; print(*(m.__file__ for m in (paysaga, prove, api, ledger)))"


class CopyFailed(Exception):
    """There is nothing to copy, or the patch doesn't apply, or something else would be run."""


class Copy:
    """A copy in this folder, which needn't exist."""

    def __init__(self, folder: Path) -> None:
        # As the interpreter will name it.
        self.folder = folder.resolve()

    async def make(self, patch: Path | None = None) -> None:
        """With this patch. Raises `CopyFailed`."""
        for name in await _tracked():
            if (source := ROOT / name).is_file():
                (target := self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        if patch is not None:
            code, said = await self.run("git", "apply", str(patch))
            if code:
                raise CopyFailed(f"{patch.name} doesn't apply to the code as it is: {said.strip()}")
        code, said = await self.run(sys.executable, "-c", _WHERE)
        if code or not all(Path(each).is_relative_to(self.folder) for each in said.split()):
            raise CopyFailed(f"it is not the copy that would run: {said.strip()}")

    async def run(self, *command: str, seconds: float | None = None) -> tuple[int, str]:
        """A program in it, to its end; its exit code and what it said. Raises `TimeoutError` once it was stopped."""
        child = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=self._env(), stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        try:
            async with asyncio.timeout(seconds):
                said, _ = await child.communicate()
        finally:
            if child.returncode is None:
                # It stops its servers before it ends.
                child.terminate()
                await asyncio.shield(child.communicate())
        return child.returncode or 0, said.decode(errors="replace")

    def _env(self) -> dict[str, str]:
        # Before whatever is installed. And git doesn't take the copy for a part of a repository around it.
        ours = {"PYTHONPATH": str(self.folder), "GIT_CEILING_DIRECTORIES": str(self.folder.parent)}
        return {name: value for name, value in clean_environment().items() if not name.startswith("GIT_")} | ours


async def _tracked() -> list[str]:
    child = await asyncio.create_subprocess_exec(
        "git", "ls-files", "-z", "--", *_NEEDED, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE
    )
    names, error = await child.communicate()
    if child.returncode or not names:
        raise CopyFailed(f"planted bugs need the repository: {error.decode(errors='replace').strip() or ROOT}")
    return [os.fsdecode(name) for name in names.split(b"\0") if name]
