"""paysaga as `paysaga dev` runs it: API and worker as two processes, Temporal with our settings."""

import secrets
from pathlib import Path

from benchmarks.systems.base import System
from paysaga.dev.ports import HOST, free_port
from paysaga.dev.process import Server, clean_environment
from paysaga.dev.services import ApiProcess, WorkerProcess
from paysaga.dev.temporal import NAMESPACE, TemporalServer

# The client's patience in seconds; beyond it the API answers 202 instead of the outcome.
PATIENCE_SECONDS = 60


class Paysaga(System):
    """Two processes. A variant with other processes overrides `_services`."""

    name = "paysaga"
    label = "paysaga"

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self._api_key = f"sk_test_{secrets.token_hex(16)}"
        self._api_port = free_port()
        self.headers = {"Authorization": f"Bearer {self._api_key}", "Prefer": f"wait={PATIENCE_SECONDS}"}

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._api_port}"

    def _temporal(self) -> TemporalServer:
        return TemporalServer(self.data, free_port())

    def _services(self) -> dict[str, Server]:
        env = self._paysaga_environment()
        return {
            "api": ApiProcess(env, self._api_port, log=self.data / "api.log"),
            "worker": WorkerProcess(env, log=self.data / "worker.log"),
        }

    def _paysaga_environment(self) -> dict[str, str]:
        temporal = {} if self.temporal is None else {"TEMPORAL_ADDRESS": self.temporal.address}
        return clean_environment(
            PAYSAGA_DATABASE_URL=self.postgres.dsn,
            PAYSAGA_PROCESSOR_URL=self.sandbox.url,
            PAYSAGA_API_KEY=self._api_key,
            PAYSAGA_API_HOST=HOST,
            TEMPORAL_NAMESPACE=NAMESPACE,
            **temporal,
        )


class PaysagaOne(Paysaga):
    """One process that does both, `paysaga api --with-worker`: an option for small deployments."""

    name = "paysaga-one"
    label = "paysaga, one process"

    def _services(self) -> dict[str, Server]:
        env = self._paysaga_environment()
        return {"api": ApiProcess(env, self._api_port, log=self.data / "api.log", with_worker=True)}
