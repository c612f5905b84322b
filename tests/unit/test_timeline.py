"""The documents name exactly the events that the database writes."""

import re
from pathlib import Path

import ledger
from payments.state import PaymentStatus
from payments.timeline import Actor

ROOT = Path(__file__).parents[2]
SQL = (Path(str(ledger.__file__)).parent / "migrations" / "0006_payment_events.sql").read_text(encoding="utf-8")
TABLE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## Timeline", 1)[1].split("\n## ", 1)[0]


def test_architecture_lists_exactly_the_events_that_the_database_writes() -> None:
    written = set(re.findall(r"'((?:payment|refund)\.[a-z_]+)'", SQL))
    written |= {f"payment.{status}" for status in PaymentStatus} | {"refund.succeeded", "refund.failed"}
    listed = re.findall(r"^\| (`.*?) \|", TABLE, re.MULTILINE)
    assert {name for row in listed for name in re.findall(r"`([a-z_.]+)`", row)} == written


def test_database_allows_exactly_the_actors_that_the_code_knows() -> None:
    (actors,) = re.findall(r"CONSTRAINT actor_is_known CHECK \(actor IN \(([^)]*)\)\)", SQL)
    assert set(re.findall(r"'(\w+)'", actors)) == {str(actor) for actor in Actor}
