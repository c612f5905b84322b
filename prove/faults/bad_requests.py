"""Placeholder until the branch comes."""

from prove.field import Field


async def refuse_all(field: Field) -> None:
    await field.shop.get("none")
