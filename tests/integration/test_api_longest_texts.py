"""The longest texts that the contract allows are allowed by everything behind it, too."""

from typing import Any

import pytest

from tests.harness import Stack, new_key


async def assert_pays(stack: Stack, fields: dict[str, Any]) -> None:
    reply = await stack.pay(new_key("longest"), **fields)
    assert reply.status_code == 201, reply.text
    assert {name: reply.json()[name] for name in fields} == fields


@pytest.mark.parametrize("character", ["x", "é", "日", "💳"])
@pytest.mark.parametrize("field", ["customer", "order_id"])
async def test_longest_identifier_pays(stack: Stack, field: str, character: str) -> None:
    await assert_pays(stack, {field: character * 255})


@pytest.mark.parametrize("character", ["x", "💳"])
async def test_longest_description_pays(stack: Stack, character: str) -> None:
    await assert_pays(stack, {"description": character * 1000})


@pytest.mark.parametrize("character", ["x", "💳"])
async def test_largest_metadata_pays(stack: Stack, character: str) -> None:
    await assert_pays(stack, {"metadata": {f"{n:02}" + character * 38: character * 500 for n in range(50)}})


async def test_largest_amount_pays(stack: Stack) -> None:
    await assert_pays(stack, {"amount": 999_999_999_999})
