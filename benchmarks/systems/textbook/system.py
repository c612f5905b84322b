"""The textbook's processes: API and worker, and a Temporal server as documented."""

from benchmarks.systems.base import HttpProgram, System, WorkerProgram
from paysaga.dev.ports import free_port
from paysaga.dev.process import Server
from paysaga.dev.temporal import TemporalServer


class DocumentedTemporalServer(TemporalServer):
    """`temporal server start-dev --db-filename`, and nothing else."""

    tuning = ()


class Textbook(System):
    """FastAPI, `client.execute_workflow`, three ordinary activities, a worker with the default options."""

    name = "textbook"
    label = "textbook"

    @property
    def url(self) -> str:
        return self._api.url

    def _temporal(self) -> TemporalServer:
        return DocumentedTemporalServer(self.data, free_port())

    def _services(self) -> dict[str, Server]:
        env = self._environment()
        self._api = HttpProgram("API", "benchmarks.systems.textbook.api", env, self.data / "api.log")
        worker = WorkerProgram("worker", "benchmarks.systems.textbook.worker", env, self.data / "worker.log")
        return {"api": self._api, "worker": worker}


class TextbookTuned(Textbook):
    """The same programs on a Temporal server with paysaga's settings."""

    name = "textbook-tuned"
    label = "textbook on our server settings"

    def _temporal(self) -> TemporalServer:
        return TemporalServer(self.data, free_port())
