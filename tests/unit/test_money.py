"""Amounts are integers in the minor unit of a currency that ISO 4217 knows."""

import iso4217
import pytest
from pydantic import TypeAdapter, ValidationError

from payments.currencies import EXPONENTS
from payments.money import AMOUNT_MAX, Amount, Currency, Money

# The published table marks some funds as such; these it doesn't.
UNMARKED_FUNDS = {"UYW"}
# Metals, bond market units, drawing rights, the test code and "no currency" have no minor unit in the table,
# except the Arab Monetary Fund's unit of account.
UNITS_OF_ACCOUNT = {"XAD"}


def active_currencies() -> dict[str, int]:
    """Exponent by code, of what a customer can pay with."""
    entries = iso4217.raw_xml.findall("CcyTbl/CcyNtry")
    names = [(entry.findtext("Ccy"), entry.find("CcyNm")) for entry in entries]
    funds = {code for code, name in names if name is not None and name.get("IsFund", "").lower() == "true"}
    refused = funds | UNMARKED_FUNDS | UNITS_OF_ACCOUNT
    units = {entry.findtext("Ccy", ""): entry.findtext("CcyMnrUnts", "") for entry in entries}
    return {code: int(unit) for code, unit in units.items() if unit.isdigit() and code not in refused}


def test_exponents_are_those_of_every_active_iso_4217_currency() -> None:
    assert active_currencies() == EXPONENTS


@pytest.mark.parametrize("code", ["XAU", "XDR", "XTS", "XXX", "CLF", "CHE", "UYI", "DEM", "eur", "EURO", ""])
def test_currency_that_nobody_can_pay_with_is_refused(code: str) -> None:
    with pytest.raises(ValidationError, match="ISO 4217"):
        TypeAdapter[str](Currency).validate_python(code)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (4990, "JPY", "JPY 4990"),
        (1, "JPY", "JPY 1"),
        (1234, "KWD", "KWD 1.234"),
        (5, "KWD", "KWD 0.005"),
        (1000, "KWD", "KWD 1.000"),
        (4990, "EUR", "EUR 49.90"),
        (7, "EUR", "EUR 0.07"),
        (100, "EUR", "EUR 1.00"),
        (AMOUNT_MAX, "EUR", "EUR 9999999999.99"),
    ],
)
def test_money_reads_with_the_decimals_of_its_currency(amount: int, currency: str, text: str) -> None:
    assert str(Money(amount=amount, currency=currency)) == text


@pytest.mark.parametrize("amount", [1, AMOUNT_MAX])
def test_money_takes_its_smallest_and_its_largest_amount(amount: int) -> None:
    assert TypeAdapter[int](Amount).validate_python(amount) == amount


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1, 2**63, 49.90, 1.0, True, "4990", None])
def test_money_refuses_what_is_not_a_positive_whole_number_of_minor_units(amount: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[int](Amount).validate_python(amount)


def test_the_largest_amount_survives_a_reader_that_only_knows_floats() -> None:
    assert int(float(AMOUNT_MAX)) == AMOUNT_MAX < 2**53


def test_money_of_a_currency_that_is_gone_is_still_readable() -> None:
    # A payment under way must survive a deployment in which ISO 4217 has dropped its currency.
    assert str(Money(amount=4990, currency="DEM")) == "DEM 4990 in minor units"


def test_money_cannot_be_changed() -> None:
    money = Money(amount=1, currency="EUR")
    with pytest.raises(ValidationError, match="frozen"):
        money.amount = 2


@pytest.mark.parametrize(
    ("amount", "currency", "decimal"),
    [(4990, "EUR", "49.90"), (-5, "EUR", "-0.05"), (0, "EUR", "0.00"), (500, "JPY", "500"), (-1234, "KWD", "-1.234")],
)
def test_decimal_has_all_the_digits_of_its_currency(amount: int, currency: str, decimal: str) -> None:
    assert Money(amount=amount, currency=currency).decimal == decimal
