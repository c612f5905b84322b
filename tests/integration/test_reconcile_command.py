"""`paysaga reconcile` as finance runs it, mostly with a settlement report."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from paysaga.dev.ports import HOST, free_port
from tests.harness import Servers, Stack, new_key, open_stack
from tests.integration.reconciled import cases, tamper, unexplained

HEADER = "reference,operation,payment_id,amount,currency,executed_at,key"
# Long ago, so that it is not what is on its way into the books just now.
LONG_AGO = timedelta(days=400)


@pytest_asyncio.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    async with open_stack(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


async def command(servers: Servers, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "paysaga", "reconcile", *arguments]
    return await asyncio.to_thread(
        subprocess.run, line, env=servers.env(**env), capture_output=True, text=True, timeout=90, check=False
    )


def period(day: datetime) -> tuple[str, ...]:
    return ("--from", day.isoformat(), "--to", (day + timedelta(days=1)).isoformat())


async def settled(shop: Stack, tmp_path: Path, day: datetime, *, payments: int = 3) -> tuple[Path, list[str]]:
    """Payments of that day, and the processor's report of them."""
    keys = [new_key("settled") for _ in range(payments)]
    for key in keys:
        assert (await shop.pay(key)).status_code == 201
    for key in keys:
        await tamper(
            shop,
            f"UPDATE ledger_transactions SET created_at = '{day + timedelta(hours=1)}' WHERE payment_id = $1",
            of=key,
        )
    reply = await shop.processor.get("/v1/settlement.csv")
    lines = reply.text.splitlines()
    assert lines[0] == HEADER
    ours = [line for line in lines if any(key in line for key in keys)]
    moved = [re.sub(r"\d{4}-[^,]+Z", (day + timedelta(minutes=59)).isoformat(), line) for line in ours]
    file = tmp_path / "settlement.csv"
    file.write_text("\n".join([HEADER, *moved]) + "\n")
    return file, keys


@pytest.fixture
def day(request: pytest.FixtureRequest) -> datetime:
    """Another one for each test."""
    number = sum(map(ord, request.node.name)) % 300
    return (datetime.now(UTC) - LONG_AGO).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=number)


async def test_report_that_agrees_is_said_to_agree(shop: Stack, tmp_path: Path, day: datetime) -> None:
    file, _ = await settled(shop, tmp_path, day)
    done = await command(shop.servers, *period(day), "--file", str(file))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "3 lines of" in done.stdout
    assert "        3 movements agree" in done.stdout
    assert "Nothing is unexplained." in done.stdout


async def test_report_with_one_difference_of_each_sort_makes_a_case_of_each_once(
    shop: Stack, tmp_path: Path, day: datetime
) -> None:
    file, keys = await settled(shop, tmp_path, day, payments=6)
    header, *lines = file.read_text().splitlines()
    # The books have a charge that the processor knows nothing of.
    gone = "UPDATE ledger_transactions SET processor_reference = 'cap_gone', operation_key = 'capture-1-gone'"
    await tamper(shop, f"{gone} WHERE payment_id = $1", of=keys[1])
    by_key = {key: next(line for line in lines if key in line) for key in keys}
    fine, missing, more, pounds, told_twice, stranger = keys
    told = [
        by_key[fine],
        by_key[more].replace(",4990,", ",4991,"),
        by_key[pounds].replace(",EUR,", ",GBP,"),
        by_key[told_twice],
        by_key[told_twice],
        by_key[stranger],
        f"cap_extra,capture,nobody,123,EUR,{day.isoformat()},",
        f"cap_nameless,capture,,77,JPY,{day.isoformat()},",
    ]
    file.write_text("\n".join([header, *told]))
    for again in (False, True):
        done = await command(shop.servers, *period(day), "--file", str(file))
        assert done.returncode == 1, done.stdout + done.stderr
        # Of those that are told twice one time counts.
        assert "        3 movements agree" in done.stdout
        assert f"New cases: {0 if again else 6}." in done.stdout
    found = [case for case in await cases(shop, status="open") if case["source"] == "file"]
    reference_of = {key: by_key[key].split(",")[0] for key in keys}
    assert {(case["difference"], case["reference"]) for case in found} == {
        ("missing_there", "cap_gone"),
        ("amount_differs", reference_of[more]),
        ("currency_differs", reference_of[pounds]),
        ("duplicate", reference_of[told_twice]),
        ("unexplained", "cap_extra"),
        ("unexplained", "cap_nameless"),
    }
    [twice] = [case for case in found if case["difference"] == "duplicate"]
    assert (twice["evidence"]["first_line"], twice["evidence"]["line"]) == (5, 6)
    assert await unexplained(shop) == {"EUR": 4990 + 1 + 4990 + 4990 + 123, "GBP": 4990, "JPY": 77}
    # The processor sends another report, which has it right.
    lines[lines.index(by_key[missing])] = by_key[missing].replace(reference_of[missing], "cap_gone")
    file.write_text("\n".join([header, *lines]))
    done = await command(shop.servers, *period(day), "--file", str(file))
    assert (done.returncode, "New cases: 0. Closed because both sides agree by now: 6." in done.stdout) == (0, True), (
        done.stdout
    )
    assert await unexplained(shop) == {}


async def test_charge_at_midnight_that_another_report_tells_of_is_not_missing(
    shop: Stack, tmp_path: Path, day: datetime
) -> None:
    # The books have it in the day's first second; the processor has executed it at another time, as its record says.
    file, _ = await settled(shop, tmp_path, day, payments=1)
    header, line = file.read_text().splitlines()
    file.write_text(header + "\n")
    done = await command(shop.servers, *period(day), "--file", str(file))
    assert (done.returncode, "1 movements agree" in done.stdout) == (0, True), line + done.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("cap_1,capture,,4990,EUR,2026-01-01,\n".encode("utf-16"), "2: is not UTF-8"),
        (b"cap_\xff,capture,,4990,EUR,2026-01-01,\n", "2: is not UTF-8"),
        (b"cap_1,chargeback,,4990,EUR,2026-01-01,\n", "2: operation must be one of capture, refund, refund_failed"),
        (b"cap_1,capture,,49.90,EUR,2026-01-01,\n", "2: amount must be a positive number of minor units"),
        (b"cap_1,capture,,-1,EUR,2026-01-01,\n", "2: amount must be a positive number of minor units"),
        (b"cap_1,capture,,0,EUR,2026-01-01,\n", "2: amount: Input should be greater than 0"),
        (b"cap_1,capture,," + b"9" * 5000 + b",EUR,2026-01-01,\n", "2: amount must be a positive number of minor"),
        (b"cap_1,capture,,4990,euro,2026-01-01,\n", "2: currency: String should match"),
        (b"cap_1,capture,,4990,EUR,yesterday,\n", "2: executed_at must be a date"),
        (b"cap_1,capture,,4990,EUR,2026-13-01,\n", "2: executed_at is no moment of the calendar"),
        (b"cap 1,capture,,4990,EUR,2026-01-01,\n", "2: reference: String should match"),
        (b"cap_1\x00,capture,,4990,EUR,2026-01-01,\n", "2: "),
        (b"cap_1,capture,4990\n", "2: has 3 fields, the header 7"),
        (b'"cap_1,capture,,4990,EUR,2026-01-01,\n', "2: unexpected end of data"),
        (b"a" * 100_000, "2: is longer than 65536 bytes"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else re.sub(r"\W+", "-", value)[:40],
)
async def test_report_that_cannot_be_read_is_refused_whole_and_its_line_named(
    shop: Stack, tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "settlement.csv"
    file.write_bytes(HEADER.encode() + b"\n" + content)
    async with shop.database() as db:
        before = await db.fetchval("SELECT count(*) FROM reconciliations")
        done = await command(shop.servers, "--from", "2026-01-01", "--to", "2026-01-02", "--file", str(file))
        assert done.returncode == 2
        assert f"settlement.csv:{says}" in done.stdout
        assert "nothing of it was taken" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        assert await db.fetchval("SELECT count(*) FROM reconciliations") == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from", "2026-02-01", "--to", "2026-01-01"), "the period has no length"),
        (("--from", "2999-01-01"), "the period has no length"),
        (("--from", "tomorrow"), "--from must be a date"),
        (("--to", "2026-01-01T00:00:00"), "--to must be a date, or a moment with its offset"),
        (("--file", "nowhere.csv"), "with --file, say by --from and --to"),
        (("--from", "2026-01-01", "--to", "2026-01-02", "--file", "nowhere.csv"), "nowhere.csv can't be read"),
    ],
)
async def test_period_or_file_that_cannot_be_used_is_refused(
    servers: Servers, arguments: tuple[str, ...], says: str
) -> None:
    done = await command(servers, *arguments)
    assert done.returncode == 2
    assert says in re.sub(r"\s*│?\n│?\s*", " ", done.stdout + done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"\n", b"reference,operation,amount,currency\n"])
async def test_report_without_a_header_is_refused(servers: Servers, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "settlement.csv"
    file.write_bytes(content)
    done = await command(servers, "--from", "2026-01-01", "--to", "2026-01-02", "--file", str(file))
    assert (done.returncode, "settlement.csv:1: the header has no column" in done.stdout) == (2, True), done.stdout


async def test_without_a_server_it_says_so(servers: Servers) -> None:
    for env in (
        {"TEMPORAL_ADDRESS": f"{HOST}:{free_port()}"},
        {"PAYSAGA_DATABASE_URL": f"postgresql://nobody:secret@{HOST}:{free_port()}/paysaga"},
    ):
        done = await command(servers, "--from", "2026-01-01", "--to", "2026-01-02", **env)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "Nothing was changed" in done.stdout
        assert "secret" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


async def test_record_of_a_day_is_compared_without_a_report(shop: Stack) -> None:
    done = await command(shop.servers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The books against the processor, by its record" in done.stdout
