"""One process. What a crash leaves behind is finished when the client comes again, else never."""

from benchmarks.systems.base import HttpProgram, System
from paysaga.dev.process import Server


class Handwritten(System):
    """One process, FastAPI and asyncpg."""

    name = "handwritten"
    label = "handwritten, no engine"
    pace = 8

    @property
    def url(self) -> str:
        return self._api.url

    def _temporal(self) -> None:
        return None

    def _services(self) -> dict[str, Server]:
        self._api = HttpProgram("API", "benchmarks.systems.handwritten.api", self._environment(), self.data / "api.log")
        return {"api": self._api}
