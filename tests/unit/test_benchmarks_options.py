"""The command line and the order in which things are measured."""

from pathlib import Path

import pytest

from benchmarks.jobs import some_payments
from benchmarks.options import parse
from benchmarks.plan import Plan, cells_for, share
from benchmarks.systems.registry import SYSTEMS, with_companions
from payments.cards import holds_card_number
from payments.identifiers import idempotency_key_problem
from payments.request import PaymentRequest


def plan(*arguments: str) -> Plan:
    return parse(arguments, SYSTEMS, with_companions)


def test_the_defaults() -> None:
    default = plan()
    assert default.systems == ["paysaga", "textbook", "textbook-tuned", "handwritten"]
    assert [cell.clients for cell in default.cells] == [1, 8, 32, 128]
    assert default.rounds == 3
    assert all(cell.payments >= 2 * cell.clients for cell in default.cells)


def test_the_textbook_brings_its_companion_once() -> None:
    assert plan("--systems", "textbook-tuned,textbook,textbook").systems == ["textbook-tuned", "textbook"]


def test_payments_for_all_or_for_each() -> None:
    assert [cell.payments for cell in plan("--clients", "1,8", "--payments", "50").cells] == [50, 50]
    assert [cell.payments for cell in plan("--clients", "1,8", "--payments", "50,50").cells] == [50, 50]
    assert [cell.payments for cell in plan("--clients", "1,8", "--payments", "20,80").cells] == [20, 80]


def test_a_fast_system_gets_more_unless_it_was_said_how_many() -> None:
    assert cells_for([8], [])[0].payments_at(8) == 8 * cells_for([8], [])[0].payments_at(1)
    assert cells_for([8], [50])[0].payments_at(8) == 50


@pytest.mark.parametrize(
    "arguments",
    [
        ("--systems", "nonesuch"),
        ("--systems", ""),
        ("--clients", "0"),
        ("--clients", "1,,8"),
        ("--clients", "-1"),
        ("--clients", "10000"),
        ("--clients", "eight"),
        ("--clients", "1,8,32", "--payments", "1,2"),
        ("--payments", "1.5"),
        ("--payments", "9" * 5000),
        ("--rounds", "0"),
        ("--json", "/nonesuch/figures.json"),
        ("--json", "/"),
        ("--scratch", "/nonesuch"),
        ("--nonesuch",),
        ("something",),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        plan(*arguments)
    assert exit_.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(("total", "turns"), [(4, 4), (10, 4), (7, 3), (600, 4), (1, 1)])
def test_all_turns_together_make_the_whole(total: int, turns: int) -> None:
    shares = [share(total, turn, turns) for turn in range(turns)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_payments_have_keys_of_their_own_and_different_amounts() -> None:
    payments = some_payments("key", 500)
    assert len({payment.payment_id for payment in payments}) == 500
    assert not {payment.payment_id for payment in payments} & {other.payment_id for other in some_payments("kex", 500)}
    assert not any(holds_card_number(payment.payment_id) for payment in payments)
    assert len({payment.amount for payment in payments}) > 400
    for payment in payments:
        assert idempotency_key_problem(payment.payment_id) is None
        PaymentRequest(amount=payment.amount, currency=payment.currency, payment_method="pm_card_visa")


def test_a_directory_is_no_file_to_write(tmp_path: Path) -> None:
    assert plan("--json", str(tmp_path / "figures.json")).json_file == tmp_path / "figures.json"
    with pytest.raises(SystemExit):
        plan("--json", str(tmp_path))
