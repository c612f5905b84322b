"""Whatever moves, the books balance."""

from collections import Counter
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.postings import Account, Movement, Posting, posting_for
from payments.identifiers import OperationKind
from payments.money import AMOUNT_MAX, Money

Kind = Literal[OperationKind.CAPTURE, OperationKind.REFUND]
KINDS: tuple[Kind, Kind] = (OperationKind.CAPTURE, OperationKind.REFUND)
OURS = [Account.SALES, Account.SUSPENSE]


def movement(kind: Kind, money: Money, account: Account = Account.SALES) -> Movement:
    return Movement(operation=kind, operation_key=f"{kind}-1", processor_reference="ref", money=money, account=account)


amounts_of_money = st.builds(
    Money, amount=st.integers(1, AMOUNT_MAX), currency=st.sampled_from(["EUR", "USD", "JPY", "KWD"])
)
movements = st.builds(movement, st.sampled_from(KINDS), amounts_of_money, st.sampled_from(OURS))


def balances(postings: list[Posting]) -> Counter[tuple[str, str]]:
    """Debits less credits, by account and currency."""
    sums = Counter[tuple[str, str]]()
    for posting in postings:
        sums[posting.debit_account, posting.money.currency] += posting.money.amount
        sums[posting.credit_account, posting.money.currency] -= posting.money.amount
    return sums


@given(st.lists(st.tuples(movements, st.sampled_from(["sandbox", "stripe"]))))
def test_debits_equal_credits_in_each_currency_after_any_movements(moves: list[tuple[Movement, str]]) -> None:
    per_currency = Counter[str]()
    for (_, currency), balance in balances([posting_for(move, processor) for move, processor in moves]).items():
        per_currency[currency] += balance
    assert set(per_currency.values()) <= {0}


@given(st.lists(movements))
def test_receivable_is_what_was_captured_less_what_was_refunded(moves: list[Movement]) -> None:
    expected = Counter[str]()
    for move in moves:
        sign = 1 if move.operation is OperationKind.CAPTURE else -1
        expected[move.money.currency] += sign * move.money.amount
    booked = balances([posting_for(move, "sandbox") for move in moves])
    receivable = {currency: sum_ for (name, currency), sum_ in booked.items() if name == "processor_receivable:sandbox"}
    assert receivable == dict(expected)


@given(movements)
def test_posting_moves_the_whole_amount_between_two_accounts(move: Movement) -> None:
    posting = posting_for(move, "sandbox")
    assert posting.money == move.money
    assert posting.debit_account != posting.credit_account


@given(amounts_of_money, st.sampled_from(OURS))
def test_refund_is_the_mirror_of_the_capture(money: Money, account: Account) -> None:
    capture, refund = (posting_for(movement(kind, money, account), "sandbox") for kind in KINDS)
    assert (refund.debit_account, refund.credit_account) == (capture.credit_account, capture.debit_account)
    assert set(balances([capture, refund]).values()) == {0}


@pytest.mark.parametrize(("account", "name"), [(Account.SALES, "sales"), (Account.SUSPENSE, "suspense")])
def test_capture_debits_the_processors_receivable_and_credits_our_account(account: Account, name: str) -> None:
    posting = posting_for(movement(OperationKind.CAPTURE, Money(amount=4990, currency="EUR"), account), "stripe")
    assert (posting.debit_account, posting.credit_account) == ("processor_receivable:stripe", name)
