"""Our own programs as processes: the sandbox processor, the worker, the API."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from paysaga.dev.http import get_status
from paysaga.dev.ports import HOST
from paysaga.dev.process import Child, Server, clean_environment

# Where `sandbox` and `paysaga` can be imported from, installed or not.
_ROOT = Path(__file__).parents[2]
_WORKER_READY = "worker ready"


async def start_program(module: str, *arguments: str, log: Path, env: Mapping[str, str] | None = None) -> Child:
    """`python -m module arguments`, with our Python. `env` is the whole environment; by default a clean one."""
    environment = clean_environment() if env is None else env
    return await Child.start([sys.executable, "-m", module, *arguments], log=log, env=environment, cwd=_ROOT)


class SandboxProcess(Server):
    """The sandbox processor, with its journal in `data_file`."""

    name = "processor"

    def __init__(
        self,
        data_file: Path,
        port: int,
        *,
        log: Path | None = None,
        flags: Sequence[str] = (),
        webhook_secret: str = "",
    ) -> None:
        super().__init__()
        self._flags = list(flags)
        # Not among the flags: command lines can be read by everybody.
        self._env = clean_environment(SANDBOX_WEBHOOK_SECRET=webhook_secret)
        self.port = port
        self.data_file = data_file
        self.log = log or data_file.with_suffix(".log")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def _launch(self) -> Child:
        arguments = ["--host", HOST, "--port", str(self.port), "--data", str(self.data_file)]
        return await start_program("sandbox", *arguments, *self._flags, log=self.log, env=self._env)

    async def _answers(self) -> bool:
        return await get_status(f"{self.url}/livez") == 200


def telling(port: int, api_port: int) -> list[str]:
    """Flags of a sandbox on this port that tells the API of what happens, and sends its customers to itself."""
    webhook_url = f"http://{HOST}:{api_port}/v1/webhooks/sandbox"
    return ["--webhook-url", webhook_url, "--public-url", f"http://{HOST}:{port}"]


class WorkerProcess(Server):
    """A worker; `env` is its whole environment."""

    name = "worker"
    # A worker finishes the activities it has; one that takes longer is retried by another worker.
    stop_seconds = 14.0

    def __init__(self, env: Mapping[str, str], *, log: Path) -> None:
        super().__init__()
        self.env = dict(env)
        self.log = log

    async def _launch(self) -> Child:
        return await start_program("paysaga", "worker", log=self.log, env=self.env)

    async def _answers(self) -> bool:
        return _WORKER_READY in self.child.output()


class ApiProcess(Server):
    """The HTTP API, which can do a worker's work, too; `env` is its whole environment."""

    name = "API"

    def __init__(self, env: Mapping[str, str], port: int, *, log: Path, with_worker: bool = False) -> None:
        super().__init__()
        self._flags = ["--with-worker"] if with_worker else []
        if with_worker:
            self.stop_seconds += WorkerProcess.stop_seconds
        self.env = dict(env) | {"PAYSAGA_API_PORT": str(port)}
        self.port = port
        self.log = log

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def _launch(self) -> Child:
        return await start_program("paysaga", "api", *self._flags, log=self.log, env=self.env)

    async def _answers(self) -> bool:
        return await get_status(f"{self.url}/readyz") == 200
