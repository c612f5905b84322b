"""What was measured, as it stands in the JSON file. Pure."""

from pydantic import BaseModel, Field

from benchmarks.machine import Machine


class Latency(BaseModel):
    """Pages of one sort: planning and execution in PostgreSQL, in milliseconds."""

    transactions: int
    listed: str
    chosen_by: str
    place: str
    pages: int
    p50_ms: float
    p99_ms: float
    first_p99_ms: float
    """Of the first look at the same pages, when PostgreSQL may have to read them from disk."""


class Book(BaseModel):
    """One size of the books."""

    payments: int
    transactions: int
    disk_mb: float
    history_mb: float
    migration_s: float


class Export(BaseModel):
    """A file of everything, as the API sends it."""

    lines: int
    seconds: float
    memory_before_mb: float
    memory_most_mb: float


class Pages(BaseModel):
    """The whole run, as far as it has got."""

    machine: Machine
    page: int
    books: list[Book] = Field(default_factory=list[Book])
    latencies: list[Latency] = Field(default_factory=list[Latency])
    export: Export | None = None
