"""The auditor finds nothing in an honest session, and each planted lie by the checks that are for it."""

import json
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from payments.state import TRANSITIONS
from prove.auditor.auditing import Audit, audit, connected
from prove.auditor.checks import statements
from tests.harness import open_stack
from tests.integration.lying import Entries, Plant, also, asked, signal, the
from tests.integration.planted import PLANTS
from tests.integration.told import Line, Teller, copied, write
from tests.integration.told_session import a_varied_session

HOSTILE: tuple[Any, ...] = (
    float("nan"), float("-inf"), 1e308, 2**200, "\x00", "\ud800", {"\x00": ["\udfff", None, True]}, [[[[]]]], "",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def teller(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Teller]:
    async with open_stack(tmp_path_factory.mktemp("shop")) as stack:
        yield await a_varied_session(stack)


@pytest_asyncio.fixture(scope="module")
async def record(teller: Teller) -> Entries:
    reply = await teller.stack.processor.get("/v1/record", params={"limit": "1000"})
    return reply.json()["data"]


@contextmanager
def a_processor(entries: Entries) -> Generator[str]:
    """One that shows this record."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = [] if "after=0" not in self.path else entries
            page = json.dumps({"data": data, "next_after": 1 if data else None}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base names it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


async def judged(teller: Teller, plant: Plant, record: Entries, directory: Path) -> Audit:
    """What the auditor says of the session with this lie in it; the books are as before afterwards."""
    lines, entries = copied(teller.lines), [dict(entry) for entry in record]
    plant.log(lines)
    plant.processor(entries)
    log = write(directory / "told.jsonl", lines)
    with a_processor(entries) as url:
        async with connected(teller.stack.servers.postgres.dsn) as db:
            changed = db.transaction(isolation="repeatable_read")
            await changed.start()
            await db.execute("SET LOCAL session_replication_role = replica")
            for statement in plant.books:
                assert (await db.execute(statement)).split()[-1] != "0", statement
            found = await audit(db, url, log)
            await changed.rollback()
    return found


async def test_an_honest_session_has_no_violation_and_every_check_has_looked_at_it(
    teller: Teller, tmp_path: Path
) -> None:
    log = write(tmp_path / "told.jsonl", teller.lines)
    async with connected(teller.stack.servers.postgres.dsn) as db:
        found = await audit(db, teller.stack.servers.sandbox.url, log)
    assert found.violations == ()
    assert [check.name for check in found.checks if not check.looked_at] == []


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.what.replace(" ", "_"))
async def test_a_lie_is_found_by_the_checks_that_are_for_it(
    plant: Plant, teller: Teller, record: Entries, tmp_path: Path
) -> None:
    found = await judged(teller, plant, record, tmp_path)
    assert {violation.check for violation in found.violations} == plant.found_by
    assert all(violation.evidence for violation in found.violations)


async def test_a_signal_may_be_lost_by_a_person_an_old_backup_or_a_flood_and_by_nothing_else(
    teller: Teller, record: Entries, tmp_path: Path
) -> None:
    at = teller.lines[-1]["at"]

    def interrupted(lines: list[Line], **fields: Any) -> None:
        signal(lines, refund_id="lost")
        lines.insert(-1, {"kind": "interrupted", "at": at, "payment": "charged", "since": None} | fields)

    def flooded(lines: list[Line]) -> None:
        for number in range(51):
            signal(lines, refund_id=f"lost-{number}")

    excused: list[tuple[bool, Callable[[list[Line]], None]]] = [
        (True, interrupted),
        (True, partial(interrupted, payment=None, since=at - 1)),
        (True, flooded),
        (False, partial(interrupted, at=at - 60)),
        (False, partial(interrupted, payment="refunded")),
        (False, partial(interrupted, payment=None, since=at + 1)),
    ]
    for is_excused, log in excused:
        found = await judged(teller, Plant("lost", set(), log=log), record, tmp_path)
        assert (found.violations == ()) is is_excused


async def test_503_excuses_no_bad_request_that_changed_something(
    teller: Teller, record: Entries, tmp_path: Path
) -> None:
    def unavailable(lines: list[Line]) -> None:
        asked(lines, "bad", None)[0].update(status=503, expected=[503])
        the(lines, "books").update(hash="another")

    found = await judged(teller, Plant("changed", set(), log=unavailable), record, tmp_path)
    assert [violation.check for violation in found.violations] == ["a refused request changes nothing"]


async def test_no_check_is_without_a_lie_that_it_alone_or_with_others_finds() -> None:
    found = set[str]().union(*(plant.found_by for plant in PLANTS))
    assert {statement.name for statement in statements()} == found


async def test_the_auditors_own_graph_is_the_services(teller: Teller, tmp_path: Path) -> None:
    """Written down twice on purpose: whoever changes the one is reminded of the other."""
    async with connected(teller.stack.servers.postgres.dsn) as db:
        await audit(db, teller.stack.servers.sandbox.url, write(tmp_path / "told.jsonl", teller.lines))
        moves = {(row["before"], row["after"]) for row in await db.fetch("SELECT before, after FROM move")}
    assert moves == {(old.value, new.value) for old, following in TRANSITIONS.items() for new in following}


async def test_what_is_hostile_in_the_log_is_no_trouble(teller: Teller, tmp_path: Path) -> None:
    """Requests that must be refused have everything in them that PostgreSQL would refuse, too."""
    lines = copied(teller.lines)
    like = asked(lines, "bad", None)[0]
    for number, body in enumerate(HOSTILE):
        also(lines, like, client=f"hostile-{number}\x00\ud800", body=body, text="\x00 \ud800 {")
    log = write(tmp_path / "told.jsonl", lines)
    huge = json.dumps(like | {"body": {"amount": "?"}}).replace('"?"', "9" * 5000)
    log.write_text(huge + "\n" + log.read_text())
    async with connected(teller.stack.servers.postgres.dsn) as db:
        assert (await audit(db, teller.stack.servers.sandbox.url, log)).violations == ()
