"""Reads pages at random places and takes PostgreSQL's own word for how long each took."""

import json
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any, Final

import asyncpg
from pydantic import BaseModel, Field

from benchmarks.figures import percentile
from benchmarks.pages.filling import BEGIN, BIG_CUSTOMER, INTERVAL, RARE_CURRENCY
from benchmarks.pages.results import Latency
from ledger.connections import READING
from ledger.queries import QUERIES

_WARM_UP: Final = 5
# Parameters by number, as `payments_page` and `history_page` have them.
FILTERS: Final[Mapping[str, Mapping[int, str]]] = {
    "none": {},
    "a customer": {1: "cus_4711"},
    "a customer with every tenth payment": {1: BIG_CUSTOMER},
    "an order": {2: "order-77"},
    "a common currency": {3: "EUR"},
    "a rare currency": {3: RARE_CURRENCY},
    "a common status": {4: "succeeded"},
    "a rare status": {4: "failed"},
}
# Which part of all, counted from the newest.
PLACES: Final[Mapping[str, tuple[float, float]]] = {
    "first rows": (0.0, 0.00001),
    "anywhere": (0.0, 1.0),
    "last rows": (0.9999, 1.0),
}
_STATEMENTS: Final = {"payments": "payments_page", "transactions": "history_page"}


class _Explained(BaseModel):
    planning: float = Field(validation_alias="Planning Time")
    execution: float = Field(validation_alias="Execution Time")


async def latencies(dsn: str, payments: int, transactions: int, page: int, pages: int) -> list[Latency]:
    """So many pages of each sort, each looked at twice."""
    connection = await asyncpg.connect(dsn, server_settings=READING)
    random = Random(payments)  # noqa: S311 - the same places each time
    found: list[Latency] = []
    try:
        for listed, statement in _STATEMENTS.items():
            for chosen_by, parameters in FILTERS.items():
                for place, part in PLACES.items():
                    chosen = [
                        BEGIN + INTERVAL * payments * (1 - random.uniform(*part)) + timedelta(days=1)
                        for _ in range(_WARM_UP + pages)
                    ]
                    looks: list[list[float]] = []
                    for _ in ("first", "again"):
                        values = [
                            await _milliseconds(connection, statement, _arguments(listed, parameters, at, page))
                            for at in chosen
                        ]
                        looks.append(values[_WARM_UP:])
                    found.append(
                        Latency(
                            transactions=transactions,
                            listed=listed,
                            chosen_by=chosen_by,
                            place=place,
                            pages=pages,
                            p50_ms=percentile(looks[1], 50),
                            p99_ms=percentile(looks[1], 99),
                            first_p99_ms=percentile(looks[0], 99),
                        )
                    )
    finally:
        await connection.close()
    return found


def _arguments(listed: str, parameters: Mapping[int, str], at: Any, page: int) -> list[Any]:
    after = "~" if listed == "payments" else 2**62
    chosen: list[Any] = [parameters.get(number) for number in range(1, 7)]
    return [*chosen, at, after, page, *([None] if listed == "transactions" else [])]


async def _milliseconds(connection: Any, statement: str, arguments: list[Any]) -> float:
    explain = f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY, FORMAT JSON) {QUERIES[statement]}"
    plan = json.loads((await connection.fetch(explain, *arguments))[0][0])[0]
    explained = _Explained.model_validate(plan)
    return explained.planning + explained.execution
