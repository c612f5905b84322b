"""One `paysaga dev` as a person runs it: a process of its own, watched from outside."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from paysaga.dev.data_dir import read_env
from paysaga.dev.ports import free_ports
from paysaga.dev.process import clean_environment

# On a machine of one's own it takes four; the tests next to this one leave it a part of the machine.
READY_SECONDS = 40
PORT_FLAGS = ("--api-port", "--temporal-port", "--ui-port", "--processor-port")


class Dev:
    """One `paysaga dev`, with its output in a file."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.data_dir = data_dir
        self._output = data_dir.with_name(f"{data_dir.name}-{time.monotonic_ns()}.out")
        command = [sys.executable, "-m", "paysaga", "dev", "--data-dir", str(data_dir), *arguments]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=clean_environment())

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    @property
    def env(self) -> dict[str, str]:
        return read_env(self.data_dir / "env")

    def until(self, what: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)

    def until_says(self, pattern: str, seconds: float = READY_SECONDS) -> None:
        self.until(lambda: re.search(pattern, self.output) is not None, seconds)

    def until_ready(self) -> None:
        self.until_says("paysaga is ready after")

    def everything(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def one(self, *arguments: str) -> psutil.Process:
        """The child whose command line has these words."""
        (found,) = [child for child in self.everything() if set(arguments) <= set(child.cmdline())]
        return found

    def end(self, number: signal.Signals, seconds: float = 30) -> tuple[int, list[psutil.Process]]:
        """The exit code, and what was left of its processes."""
        everything = self.everything()
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        return code, still_running(everything, seconds=1 if code == 0 else 5)

    def clean_up(self) -> None:
        if self.process.poll() is None:
            everything = self.everything()
            self.process.kill()
            self.process.wait()
            for process in psutil.wait_procs(everything, timeout=5)[1]:
                process.kill()


def still_running(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that haven't ended within `seconds`. One that only waits for init to take note of its end has."""
    deadline = time.monotonic() + seconds
    while left := [process for process in processes if process.is_running() and not ended(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return left


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def ports() -> list[str]:
    return [part for flag, port in zip(PORT_FLAGS, free_ports(4), strict=True) for part in (flag, str(port))]


def printed_curl(output: str) -> str:
    found = re.search(r"^curl (?:.*\\\n)+.*$", output, re.MULTILINE)
    assert found is not None, output
    return found.group()


def paste(command: str) -> dict[str, Any]:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=30)
    return json.loads(done.stdout)


def get(env: dict[str, str], path: str) -> Any:
    headers = {"Authorization": f"Bearer {env['PAYSAGA_API_KEY']}"}
    request = urllib.request.Request(env["PAYSAGA_API_URL"] + path, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


def refused(data_dir: Path, *arguments: str) -> str:
    """The one line that a start ends with."""
    command = [sys.executable, "-m", "paysaga", "dev", "--data-dir", str(data_dir), *(arguments or ports())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=clean_environment())
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    return done.stderr
