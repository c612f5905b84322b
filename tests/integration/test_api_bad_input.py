"""Bodies that are no request to pay: each is refused with the right pointer, and leaves no trace."""

import json
from typing import Any

import pytest

from tests.harness import Stack, a_request, new_key
from tests.refusals import assert_left_no_trace, assert_nothing_of, assert_problem, json_with, pointers, post

TEXT_FIELDS = ["customer", "order_id", "description"]

BAD_FIELDS: dict[str, tuple[dict[str, str], str]] = {
    "amount zero": ({"amount": "0"}, "/amount"),
    "amount minus zero": ({"amount": "-0"}, "/amount"),
    "amount negative": ({"amount": "-4990"}, "/amount"),
    "amount whole float": ({"amount": "5.0"}, "/amount"),
    "amount float": ({"amount": "4990.5"}, "/amount"),
    "amount exponent": ({"amount": "5e2"}, "/amount"),
    "amount text": ({"amount": '"10"'}, "/amount"),
    "amount true": ({"amount": "true"}, "/amount"),
    "amount null": ({"amount": "null"}, "/amount"),
    "amount array": ({"amount": "[4990]"}, "/amount"),
    "amount object": ({"amount": '{"value": 4990}'}, "/amount"),
    "amount 1e400": ({"amount": "1e400"}, "/amount"),
    "amount above the most": ({"amount": "1000000000000"}, "/amount"),
    "amount 2^53": ({"amount": str(2**53)}, "/amount"),
    "amount 2^63": ({"amount": str(2**63)}, "/amount"),
    "amount 2^64 + 10": ({"amount": str(2**64 + 10)}, "/amount"),
    "amount of 4000 digits": ({"amount": "1" + "0" * 4000}, "/amount"),
    "currency unknown": ({"currency": '"XYZ"'}, "/currency"),
    "currency in small letters": ({"currency": '"eur"'}, "/currency"),
    "currency empty": ({"currency": '""'}, "/currency"),
    "currency with a space": ({"currency": '"EUR "'}, "/currency"),
    "currency null": ({"currency": "null"}, "/currency"),
    "currency number": ({"currency": "978"}, "/currency"),
    "method empty": ({"payment_method": '""'}, "/payment_method"),
    "method with a space": ({"payment_method": '"pm card"'}, "/payment_method"),
    "method with a line feed at its end": ({"payment_method": '"pm_card_visa\\n"'}, "/payment_method"),
    "method too long": ({"payment_method": f'"{"p" * 256}"'}, "/payment_method"),
    "capture unknown": ({"capture": '"later"'}, "/capture"),
    "customer empty": ({"customer": '""'}, "/customer"),
    "customer too long": ({"customer": f'"{"c" * 256}"'}, "/customer"),
    "customer number": ({"customer": "42"}, "/customer"),
    "order empty": ({"order_id": '""'}, "/order_id"),
    "order too long": ({"order_id": f'"{"o" * 256}"'}, "/order_id"),
    "description too long": ({"description": f'"{"d" * 1001}"'}, "/description"),
    "metadata array": ({"metadata": "[]"}, "/metadata"),
    "metadata text": ({"metadata": '"a=b"'}, "/metadata"),
    "metadata value number": ({"metadata": '{"a": 1}'}, "/metadata/a"),
    "metadata value null": ({"metadata": '{"a": null}'}, "/metadata/a"),
    "metadata value object": ({"metadata": '{"a": {"b": "c"}}'}, "/metadata/a"),
    "metadata value too long": ({"metadata": f'{{"a": "{"v" * 501}"}}'}, "/metadata/a"),
    "metadata key too long": ({"metadata": f'{{"{"k" * 41}": "v"}}'}, f"/metadata/{'k' * 41}"),
    "metadata key empty": ({"metadata": '{"": "v"}'}, "/metadata/"),
    "metadata key to be escaped": ({"metadata": '{"a/b~c": 1}'}, "/metadata/a~1b~0c"),
    "metadata key that pydantic uses": ({"metadata": '{"[key]": 1}'}, "/metadata/[key]"),
    "51 metadata pairs": ({"metadata": json.dumps({f"k{n}": "v" for n in range(51)})}, "/metadata"),
    "unknown field": ({"ammount": "4990"}, "/ammount"),
    "unknown field that is one elsewhere": ({"id": '"pay_1"'}, "/id"),
    "unknown field in other letters": ({"Amount": "4990"}, "/Amount"),
    "unknown field named as pydantic's key": ({"[key]": "1"}, "/[key]"),
    "unknown field with an empty name": ({"": "1"}, "/"),
}


@pytest.mark.parametrize(("fields", "pointer"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
async def test_field_is_refused_with_its_pointer_and_without_a_trace(
    stack: Stack, fields: dict[str, str], pointer: str
) -> None:
    key = new_key("bad-field")
    reply = await post(stack, key, json_with(**fields))
    values = [text.strip('"') for text in fields.values() if len(text) > 6]
    assert pointers(assert_problem(reply, 422, "validation_failed", key, *values)) == [pointer]
    await assert_nothing_of(stack, key)


@pytest.mark.parametrize("name", ["amount", "currency", "payment_method"])
async def test_missing_field_is_refused_without_a_trace(stack: Stack, name: str) -> None:
    key = new_key("missing")
    content = json.dumps({field: value for field, value in a_request().items() if field != name}).encode()
    reply = await post(stack, key, content)
    assert pointers(assert_problem(reply, 422, "validation_failed")) == [f"/{name}"]
    await assert_nothing_of(stack, key)


async def test_every_wrong_field_is_named_at_once(stack: Stack) -> None:
    reply = await post(stack, new_key(), b'{"amount": -1, "currency": "eur", "metadata": {"a": 1, "b": 2}, "tip": 3}')
    assert sorted(pointers(assert_problem(reply, 422, "validation_failed"))) == [
        "/amount",
        "/currency",
        "/metadata/a",
        "/metadata/b",
        "/payment_method",
        "/tip",
    ]


async def test_thousands_of_wrong_fields_get_a_short_answer(stack: Stack) -> None:
    key = new_key("many-fields")
    reply = await post(stack, key, json.dumps(a_request() | {f"f{n}": n for n in range(30_000)}).encode())
    assert_problem(reply, 422, "validation_failed")
    assert len(reply.content) < 10_000
    await assert_nothing_of(stack, key)


async def test_endless_field_name_gets_a_short_answer(stack: Stack) -> None:
    key = new_key("long-name")
    assert_problem(await post(stack, key, json_with(**{"n" * 400_000: "1"})), 422, "validation_failed", "n" * 1000)
    await assert_nothing_of(stack, key)


NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "only a space": b" ",
    "cut off": b'{"amount": 4990',
    "two values": b"{} {}",
    "a comment": b'{"amount": 4990 /* cents */}',
    "single quotes": b"{'amount': 4990}",
    "a trailing comma": b'{"amount": 4990,}',
    "form fields": b"amount=4990&currency=EUR",
    "NaN": json_with(amount="NaN"),
    "Infinity": json_with(amount="Infinity"),
    "minus Infinity": json_with(amount="-Infinity"),
    "10^5000": json_with(amount="1" + "0" * 5000),
    "a leading zero": json_with(amount="0100"),
    "hexadecimal": json_with(amount="0x10"),
    "invalid UTF-8": json_with(description='"@"').replace(b"@", b"\xff\xfe"),
    "Latin-1": json_with(description='"@"').replace(b"@", b"\xe9"),
    "surrogates in UTF-8": json_with(description='"@"').replace(b"@", b"\xed\xa0\x80"),
    "UTF-16": json_with().decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json_with(),
    "bare NUL": json_with(description='"a\0b"'),
    "bare line feed in a text": json_with(description='"a\nb"'),
    "a name twice": json_with()[:-1] + b', "amount": 4990}',
    "a name twice, once escaped": json_with()[:-1] + b', "\\u0061mount": 1}',
    "a metadata name twice": json_with(metadata='{"a": "1", "a": "2"}'),
    "10,000 nested arrays": b"[" * 10_000 + b"]" * 10_000,
    "10,000 nested arrays in a field": json_with(metadata="[" * 10_000 + "]" * 10_000),
    "10,000 nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "10,000 open arrays": b"[" * 10_000,
}


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_malformed_json_is_refused_without_a_trace(stack: Stack, content: bytes) -> None:
    key = new_key("not-json")
    assert_problem(await post(stack, key, content), 400, "malformed_json", key)
    await assert_nothing_of(stack, key)


@pytest.mark.parametrize("content", [b"null", b"[]", b"[{}]", b'"text"', b"4990", b"true", b"1e400", b"[[[[1]]]]"])
async def test_json_that_is_no_object_is_refused_without_a_trace(stack: Stack, content: bytes) -> None:
    key = new_key("no-object")
    assert pointers(assert_problem(await post(stack, key, content), 422, "validation_failed")) == [""]
    await assert_nothing_of(stack, key)


def _in(field: str, text: str) -> dict[str, Any]:
    """The text as JSON in a field, or in the metadata as `metadata key` or `metadata value`."""
    return {"metadata key": {"metadata": {text: "v"}}, "metadata value": {"metadata": {"k": text}}}.get(
        field, {field: text}
    )


@pytest.mark.parametrize("field", ["customer", "order_id", "metadata key"])
@pytest.mark.parametrize("text", ["a\nb", "a\tb", " a", "a "], ids=ascii)
async def test_identifier_that_is_not_one_plain_line_is_refused_without_a_trace(
    stack: Stack, field: str, text: str
) -> None:
    key = new_key("line")
    reply = await post(stack, key, json.dumps(a_request() | _in(field, text)).encode())
    assert_problem(reply, 422, "validation_failed")
    await assert_nothing_of(stack, key)


async def test_prose_keeps_its_line_breaks(stack: Stack) -> None:
    payment = (await stack.pay(new_key("prose"), description="a\n\tb ", metadata={"note": " a\r\nb"})).json()
    assert (payment["description"], payment["metadata"]) == ("a\n\tb ", {"note": " a\r\nb"})


@pytest.mark.parametrize("field", [*TEXT_FIELDS, "payment_method", "currency", "metadata key", "metadata value"])
@pytest.mark.parametrize("character", ["\0", "\x1b", "\x7f", "\x85", "\ud800"], ids=ascii)
async def test_character_that_is_no_text_is_refused_without_a_trace(stack: Stack, field: str, character: str) -> None:
    key = new_key("control")
    reply = await post(stack, key, json.dumps(a_request() | _in(field, f"a{character}b")).encode())
    (pointer,) = pointers(assert_problem(reply, 422, "validation_failed"))
    # With half a character in its name an entry has no pointer of its own.
    assert pointer.startswith("/metadata" if "metadata" in field else f"/{field}")
    await assert_nothing_of(stack, key)


@pytest.mark.parametrize("name", ["a\ud800", "b\0\x1b[2J", "💳", "a\nb"], ids=ascii)
async def test_unknown_field_with_an_odd_name_is_refused_without_a_trace(stack: Stack, name: str) -> None:
    key = new_key("field-name")
    reply = await post(stack, key, json.dumps(a_request() | {name: 1}).encode())
    assert_problem(reply, 422, "validation_failed", "\0", "\x1b")
    await assert_nothing_of(stack, key)


async def test_key_is_still_free_after_every_bad_body(stack: Stack) -> None:
    key = new_key("bad-bodies")
    for content in [*NOT_JSON.values(), *(json_with(**fields) for fields, _ in BAD_FIELDS.values())]:
        assert 400 <= (await post(stack, key, content)).status_code < 500
    await assert_left_no_trace(stack, key)


@pytest.mark.parametrize(
    "text", ["💳👨", "Žluťoučký kůň", "日本語", "שלום", "'; DROP TABLE payments;--", "\\u0000", "%s {0}"]
)
async def test_text_is_kept_as_it_was_sent_in_every_field(stack: Stack, text: str) -> None:
    fields: dict[str, Any] = {
        "customer": text,
        "order_id": text + new_key(),
        "description": text,
        "metadata": {text: text},
    }
    key = new_key("text")
    reply = await stack.pay(key, **fields)
    assert reply.status_code == 201, reply.text
    assert {name: reply.json()[name] for name in fields} == fields
    assert await stack.get(key) == reply.json()
