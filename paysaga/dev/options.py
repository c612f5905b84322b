"""What can be chosen on `paysaga dev`'s command line."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

from paysaga.dev.errors import DevStackError
from paysaga.dev.ports import free_port, is_free

DEFAULT_DATA_DIR = Path(".paysaga")


@dataclass(frozen=True)
class Options:
    """Ports are 127.0.0.1's; 0 means any free one."""

    data_dir: Path = DEFAULT_DATA_DIR
    api_port: int = 8080
    temporal_port: int = 7233
    ui_port: int = 8233
    processor_port: int = 8090
    api_key: str | None = None

    def with_checked_ports(self) -> Self:
        """Every port free and different; else the error names the flag to change."""
        taken: dict[int, str] = {}
        for flag, port in self._ports().items():
            if port == 0:
                continue
            if port in taken:
                raise DevStackError(f"{taken[port]} and {flag} are both {port}: they have to differ")
            if not is_free(port):
                raise DevStackError(f"port {port} is in use: choose another one with {flag} (0 takes any free one)")
            taken[port] = flag
        chosen = {_field(flag): port or free_port() for flag, port in self._ports().items()}
        return replace(self, **chosen)

    def _ports(self) -> dict[str, int]:
        names = [field.name for field in fields(self) if field.name.endswith("_port")]
        return {"--" + name.replace("_", "-"): getattr(self, name) for name in names}


def _field(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")
