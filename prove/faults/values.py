"""Amounts of every number of decimals, and strings that mean something to somebody else."""

import asyncio
from random import Random
from typing import Final
from urllib.parse import quote

from prove.faults.misbehaving import misbehaves, paid
from prove.field import Field

# The least, the most, and what looks different with another number of decimals.
AMOUNTS: Final = (
    ("JPY", 1), ("JPY", 500), ("ISK", 99), ("KRW", 999_999_999_999), ("EUR", 1), ("USD", 999_999_999_999),
    ("KWD", 1234), ("BHD", 1), ("TND", 1005),
)  # fmt: skip


async def _amounts(field: Field, random: Random) -> str | None:
    chosen = random.sample(AMOUNTS, 4)
    stand = await asyncio.gather(
        *(paid(field, random, "amount", currency=currency, amount=amount) for currency, amount in chosen)
    )
    for (key, _), (currency, amount) in zip(stand, chosen, strict=True):
        other = "EUR" if currency != "EUR" else "USD"
        body = {"amount": amount, "currency": other}
        path = f"/v1/payments/{key}/refunds"
        await field.shop.send("bad", path, payment=key, id_="other-currency", body=body, expected=[422])
        await field.shop.refund_until_answered(key, "r", amount)
    exact = [(payment.get("currency"), payment.get("amount")) for _, payment in stand] == chosen
    return ", ".join(f"{currency} {amount}" for currency, amount in chosen) if exact else None


STRINGS: Final = (
    "'; DROP TABLE payments;--", "%", "_%_", "\\", "' OR '1'='1", "שלום עולם", "مرحبا", "💳👨", "𝔘𝔫𝔦", "𠜎𠜱",
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", '"quoted", and; more', "<script>alert(1)</script>", "{0} %s $1",
    "null", "Žluťoučký kůň", "\\u0000",
)  # fmt: skip
# Only prose may have these: line breaks, and a mark that turns the rest of the line around.
PROSE: Final = ("a\r\n\tb ", "\u202egnp.exe", "👨\u200d👩\u200d👧", "e\u0301")


async def _strings(field: Field, random: Random) -> str | None:
    text, prose = random.choice(STRINGS), random.choice((*STRINGS, *PROSE))
    fields = {
        "customer": text,
        "order_id": f"{text}{field.key('order')}",
        "description": prose,
        "metadata": {text: prose, "more": random.choice(STRINGS)},
    }
    key = field.key("strings")
    await field.pay(key, field.body(random, **fields))
    read = (await field.shop.get_until_answered(key)).json
    list_path = f"/v1/payments?customer={quote(text, safe='')}&limit=1"
    found = await field.shop.send("list", list_path, method="GET")
    nul = field.body(random, **{random.choice(("customer", "order_id", "description")): f"{text}\0"})
    await field.shop.send("bad", "/v1/payments", id_=field.key("nul"), body=nul, expected=[422])
    kept = {name: read.get(name) for name in fields} == fields
    return f"{text!r} and {prose!r} read back as written; found: {found.status}" if kept else None


FAULTS: Final = (
    misbehaves("client-pays-in-any-currency", ("F46",),
               "the least and the most in currencies of no, two and three decimals", _amounts),
    misbehaves("client-writes-anything", ("F44",), "SQL, patterns, formulas, emoji and right-to-left text", _strings),
)  # fmt: skip
