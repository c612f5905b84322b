"""The states of a payment, and that the code and the database know the same ones."""

import re
from itertools import product
from pathlib import Path

import pytest

import ledger
from payments.state import TRANSITIONS, PaymentStatus, can_move

MIGRATIONS = sorted((Path(str(ledger.__file__)).parent / "migrations").glob("*.sql"))
ENDS = frozenset(PaymentStatus) - frozenset(TRANSITIONS)


def statuses_of_the_database() -> set[str]:
    """What the last `status_is_known` of the migrations lists."""
    sql = "\n".join(file.read_text(encoding="utf-8") for file in MIGRATIONS)
    lists = re.findall(r"CONSTRAINT status_is_known CHECK \(status IN \(([^)]*)\)\)", sql)
    return set(re.findall(r"'([a-z_]+)'", lists[-1]))


def test_database_allows_exactly_the_statuses_that_the_code_knows() -> None:
    assert statuses_of_the_database() == {str(status) for status in PaymentStatus}


def test_every_move_leads_to_a_known_status() -> None:
    for targets in TRANSITIONS.values():
        assert targets <= frozenset(PaymentStatus)


def test_no_payment_moves_to_where_it_stands() -> None:
    assert [status for status in PaymentStatus if can_move(status, status)] == []


def test_a_payment_begins_undecided_and_can_be_decided_either_way() -> None:
    assert TRANSITIONS[PaymentStatus.PROCESSING] >= {PaymentStatus.SUCCEEDED, PaymentStatus.FAILED}


def test_no_payment_becomes_undecided_again() -> None:
    undecided = {PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION}
    back = {(old, new) for old in PaymentStatus for new in undecided if can_move(old, new)}
    assert {old for old, _ in back} == undecided


@pytest.mark.parametrize(
    "end", [PaymentStatus.DECLINED, PaymentStatus.CANCELED, PaymentStatus.FAILED, PaymentStatus.EXPIRED]
)
def test_no_move_leads_out_of_an_end(end: PaymentStatus) -> None:
    assert end in ENDS
    assert [new for new in PaymentStatus if can_move(end, new)] == []


def test_moves_are_those_of_the_table_and_no_others() -> None:
    moves = {(old, new) for old, new in product(PaymentStatus, repeat=2) if can_move(old, new)}
    assert moves == {(old, new) for old, targets in TRANSITIONS.items() for new in targets}


def test_diagram_in_the_architecture_shows_exactly_the_moves_of_the_table() -> None:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text(encoding="utf-8")
    diagram = text.split("stateDiagram-v2", 1)[1].split("```", 1)[0]
    drawn = {tuple(arrow) for arrow in re.findall(r"(\w+|\[\*\]) --> (\w+|\[\*\])", diagram)}
    moves = {(str(old), str(new)) for old, news in TRANSITIONS.items() for new in news}
    ends = {(str(new), "[*]") for news in TRANSITIONS.values() for new in news if new not in TRANSITIONS}
    assert drawn == moves | ends | {("[*]", "processing")}
