"""What a client may ask for, and how a repeated key is known to bring the same request."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from payments.money import AMOUNT_MAX
from payments.request import PaymentRequest

FULL: dict[str, Any] = {
    "amount": 4990,
    "currency": "EUR",
    "payment_method": "pm_card_visa",
    "customer": "c-1",
    "order_id": "o-1",
    "description": "Two tickets",
    "metadata": {"cart": "17", "shop": "berlin"},
    "capture": "automatic",
}
LEAST = {"amount": 4990, "currency": "EUR", "payment_method": "pm_card_visa"}
OTHER = {
    "amount": 4991,
    "currency": "USD",
    "payment_method": "pm_paypal",
    "customer": "c-2",
    "order_id": "o-2",
    "description": "Three tickets",
    "metadata": {"cart": "17", "shop": "paris"},
}


def request(**fields: Any) -> PaymentRequest:
    return PaymentRequest.model_validate(LEAST | fields)


def test_every_field_that_can_differ_is_in_this_table() -> None:
    """`capture` has one value today."""
    assert set(OTHER) | {"capture"} == set(PaymentRequest.model_fields) == set(FULL)


@given(st.permutations(list(FULL.items())))
def test_fingerprint_does_not_depend_on_the_order_of_fields(fields: list[tuple[str, Any]]) -> None:
    assert PaymentRequest.model_validate(dict(fields)).fingerprint() == request(**FULL).fingerprint()


def test_fingerprint_does_not_depend_on_the_order_of_metadata() -> None:
    assert request(metadata={"a": "1", "b": "2"}).fingerprint() == request(metadata={"b": "2", "a": "1"}).fingerprint()


@pytest.mark.parametrize("field", ["customer", "order_id", "description", "metadata"])
def test_fingerprint_is_the_same_for_null_and_absent(field: str) -> None:
    assert request(**{field: None}).fingerprint() == request().fingerprint()


def test_fingerprint_is_the_same_for_empty_and_absent_metadata() -> None:
    assert request(metadata={}).fingerprint() == request().fingerprint()


def test_fingerprint_is_the_same_when_a_default_is_spelt_out() -> None:
    assert request(capture="automatic").fingerprint() == request().fingerprint()


def test_fingerprint_stays_what_it_is() -> None:
    """Written down here: an edit that changes it would refuse every retry of a payment made before."""
    assert request().fingerprint() == "af3d5b21c51266e72e95b47eec8ff6322bc88d776d32707d122970b7e08ec823"
    assert request(**FULL).fingerprint() == "4e1c3e29a26e539e20f9b843dd02a6ac3a7b78a8fa05c99e800c40c6e4813a29"


@pytest.mark.parametrize("field", OTHER)
def test_fingerprint_differs_when_one_field_does(field: str) -> None:
    full = request(**FULL)
    others = [request(**FULL | {field: OTHER[field]})]
    if field not in LEAST:
        others.append(request(**{name: value for name, value in FULL.items() if name != field}))
    assert full.fingerprint() not in {other.fingerprint() for other in others}


def test_fingerprint_differs_when_a_value_moves_to_another_field() -> None:
    assert request(customer="x").fingerprint() != request(order_id="x").fingerprint()


@pytest.mark.parametrize("field", OTHER)
def test_differing_fields_names_the_field_that_differs(field: str) -> None:
    assert request(**FULL).differing_fields(request(**FULL | {field: OTHER[field]})) == [field]


def test_differing_fields_never_tells_a_value() -> None:
    told = json.dumps(request(**FULL).differing_fields(request(**OTHER)))
    values = [FULL[name] for name in OTHER if name != "metadata"] + list(FULL["metadata"].values())
    assert not [value for value in values if str(value) in told]


optional = st.none() | st.sampled_from(["a", "b"])
no_metadata: dict[str, str] = {}


@given(
    *2
    * [
        st.builds(
            request, customer=optional, description=optional | st.just(""), metadata=st.none() | st.just(no_metadata)
        )
    ]
)
def test_requests_differ_in_a_field_exactly_when_their_fingerprints_differ(
    one: PaymentRequest, other: PaymentRequest
) -> None:
    assert bool(one.differing_fields(other)) == (one.fingerprint() != other.fingerprint())


@pytest.mark.parametrize("amount", [True, "4990", 49.9, 4990.0, 0, -1, AMOUNT_MAX + 1, 2**63, 10**30, None, [1]])
def test_amount_is_refused_unless_it_is_a_positive_whole_number(amount: Any) -> None:
    with pytest.raises(ValidationError):
        request(amount=amount)
    with pytest.raises(ValidationError):
        PaymentRequest.model_validate_json(json.dumps(LEAST | {"amount": amount}))


@pytest.mark.parametrize("currency", ["eur", "Eur", "XXX", "XAU", "EURO", "", "EUR ", "€", 978, None])
def test_currency_is_refused_unless_it_is_a_code_in_capitals(currency: Any) -> None:
    with pytest.raises(ValidationError):
        request(currency=currency)


@pytest.mark.parametrize("field", ["Amount", "amount_captured", "status", "id", "card", "capture_method", ""])
def test_unknown_field_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        request(**{field: "1"})


@pytest.mark.parametrize("field", LEAST)
def test_request_is_refused_without_what_it_needs(field: str) -> None:
    with pytest.raises(ValidationError, match="Field required"):
        PaymentRequest.model_validate({name: value for name, value in LEAST.items() if name != field})


@pytest.mark.parametrize("method", ["", "pm card", "pm\n", "pm/1", "x" * 256, "pm_ü", "4242 4242", 5])
def test_payment_method_is_refused_unless_it_is_a_token(method: Any) -> None:
    with pytest.raises(ValidationError):
        request(payment_method=method)


def texts(text: str) -> list[dict[str, Any]]:
    """Each place where a request has text."""
    places: list[dict[str, Any]] = [{field: text} for field in ("customer", "order_id", "description")]
    return [*places, {"metadata": {"key": text}}, {"metadata": {text: "value"}}]


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x08", "\x0b", "\x1b", "\x1f", "\x7f", "\x85", "\x9b"])
def test_control_character_is_refused_in_every_text(character: str) -> None:
    for fields in texts(f"a{character}b"):
        with pytest.raises(ValidationError, match="control characters"):
            request(**fields)


@pytest.mark.parametrize(
    "text", ["a\u200bb", "a\u200db", "\ufeffa", "a\u00adb", "a\u2028b", "e\u0301", " a", "a ", "a\nb"]
)
def test_order_that_only_looks_like_another_is_refused(text: str) -> None:
    for field in ("order_id", "customer"):
        with pytest.raises(ValidationError):
            request(**{field: text})
    assert request(description=text).description == text


@pytest.mark.parametrize("half", ["\ud83d", "\udfff\ud800"])
def test_lone_surrogate_is_refused_in_every_text(half: str) -> None:
    for fields in texts(f"a{half}b"):
        with pytest.raises(ValidationError):
            request(**fields)
        with pytest.raises(ValidationError):
            PaymentRequest.model_validate_json(json.dumps(LEAST | fields))


@pytest.mark.parametrize("text", ["😀 Grüße", "日本語", "O'Neil <a href=''>", "مرحبا"])
def test_text_of_any_language_comes_back_as_it_was_sent(text: str) -> None:
    for fields in texts(text):
        sent = request(**fields)
        assert PaymentRequest.model_validate_json(sent.model_dump_json(exclude_none=True)) == sent
        assert sent.fingerprint() != request().fingerprint()


@pytest.mark.parametrize("field", ["customer", "order_id"])
def test_identifier_has_1_to_255_characters(field: str) -> None:
    assert getattr(request(**{field: "😀" * 255}), field) == "😀" * 255
    for text in ("", "x" * 256):
        with pytest.raises(ValidationError):
            request(**{field: text})


def test_description_has_at_most_1000_characters() -> None:
    assert request(description="x" * 1000).description == "x" * 1000
    with pytest.raises(ValidationError):
        request(description="x" * 1001)


def test_metadata_has_at_most_50_pairs() -> None:
    fifty = {f"k{n}": "v" for n in range(50)}
    assert request(metadata=fifty).metadata == fifty
    with pytest.raises(ValidationError):
        request(metadata=fifty | {"k50": "v"})


@pytest.mark.parametrize("metadata", [{"k" * 41: "v"}, {"": "v"}, {"k": "v" * 501}, {"k": 1}, {"k": None}, ["k"], "k"])
def test_metadata_is_refused_unless_it_is_short_text_by_short_name(metadata: Any) -> None:
    with pytest.raises(ValidationError):
        request(metadata=metadata)


def test_longest_metadata_is_accepted() -> None:
    assert request(metadata={"k" * 40: "v" * 500}).metadata == {"k" * 40: "v" * 500}


@pytest.mark.parametrize("capture", ["later", "Automatic", "", None, True])
def test_capture_is_refused_when_it_is_not_offered(capture: Any) -> None:
    with pytest.raises(ValidationError):
        request(capture=capture)
