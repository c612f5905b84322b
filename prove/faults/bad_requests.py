"""Requests that are wrong in themselves: each is refused, and leaves nothing behind."""

import asyncio
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from random import Random
from typing import Final

from multidict import CIMultiDict

from prove.catalogue import Fault, Inject
from prove.faults.misbehaving import misbehaves
from prove.field import Field
from prove.shop import Reply
from prove.stack import API_KEY

PAYMENTS: Final = "/v1/payments"
BEARER: Final = f"Bearer {API_KEY}"
# As many as browsers open; the rest waits.
AT_ONCE: Final = 6


@dataclass(frozen=True)
class Bad:
    """One of them, and what may be answered. A header may stand twice."""

    expected: tuple[int, ...]
    raw: bytes | None = None
    method: str = "POST"
    path: str = PAYMENTS
    headers: tuple[tuple[str, str], ...] = ()
    key: bool = True
    """Whether it has an Idempotency-Key of its own that is fine."""
    bearer: bool = True


def json_with(**fields: str) -> bytes:
    """A good request's JSON with these fields given as JSON text, which Python could not write otherwise."""
    good = {"amount": "4990", "currency": '"EUR"', "payment_method": '"pm_card_visa"'}
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in (good | fields).items()) + "}").encode()


GOOD: Final = json_with()
QUERIES: Final = (
    "limit=0", "limit=-1", "limit=101", "limit=1.5", "limit=", "limit=1&limit=2", "status=paid", "costumer=x",
    "customer=%00", "created_from=yesterday", "customer=4242424242424242",
)  # fmt: skip


def keys() -> Generator[Bad]:
    """Idempotency keys that are none."""
    yield Bad((400,), GOOD, key=False)
    for key in (
        "",
        "k" * 256,
        "clé",
        "💳",
        "a\tb",
        "a/b",
        "a\\b",
        "100%",
        "a?b",
        "a#b",
        ".",
        "..",
        "../../v1/payments",
    ):
        yield Bad((400,), GOOD, key=False, headers=(("Idempotency-Key", key),))
    for second in ("one", "two", ""):
        yield Bad((400,), GOOD, key=False, headers=(("Idempotency-Key", "one"), ("Idempotency-Key", second)))


def amounts() -> Generator[Bad]:
    """Numbers that are no amount, and other fields that are not what they should be."""
    for amount in ("NaN", "Infinity", "-Infinity", "0100", "0x10", "1" + "0" * 5000):
        yield Bad((400,), json_with(amount=amount))
    for amount in (
        "0",
        "-0",
        "-1",
        "1.5",
        "5.0",
        "5e2",
        "1e308",
        "1e400",
        '"10"',
        "true",
        "false",
        "null",
        "[1]",
        "{}",
    ):
        yield Bad((422,), json_with(amount=amount))
    for amount in (10**12, 2**53, 2**63 - 1, 2**63, 2**64 + 10):
        yield Bad((422,), json_with(amount=str(amount)))
    for currency in ("XYZ", "eur", "", "EUR ", "EURO"):
        yield Bad((422,), json_with(currency=json.dumps(currency)))
    for field in ("currency", "payment_method", "customer", "order_id", "description"):
        yield Bad((422,), json_with(**{field: '"a\\u0000b"'}))
    yield Bad((422,), json_with(ammount="1"))
    yield Bad((422,), json_with(capture='"later"'))
    yield Bad((422,), json_with(customer='"4242424242424242"'))
    yield Bad((422,), b'{"currency": "EUR", "payment_method": "pm_card_visa"}')


def bodies() -> Generator[Bad]:
    """Too large, too deep, too many, not JSON, not said to be JSON."""
    yield Bad((413,), json_with(description=f'"{"d" * 10_000_000}"'))
    yield Bad((413,), GOOD + b" " * 512 * 1024)
    for opens, closes in ((b"[", b"]"), (b'{"a":', b"}")):
        yield Bad((400,), opens * 10_000 + b"1" + closes * 10_000)
    yield Bad((400,), json_with(metadata="[" * 10_000 + "]" * 10_000))
    yield Bad((422,), json_with(metadata=json.dumps({f"k{number}": "v" for number in range(10_000)})))
    yield Bad((422,), json_with(metadata='{"a": {"b": "c"}}'))
    for raw in (b"", b"{", b"{} {}", b"amount=1", GOOD[:-1] + b', "amount": 1}', b"\xff\xfe", b"\xef\xbb\xbf" + GOOD):
        yield Bad((400,), raw)
    for raw in (b"null", b"[]", b'"text"', b"4990"):
        yield Bad((422,), raw)
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"):
        yield Bad((415,), GOOD, headers=(("Content-Type", content_type),))


def strangers() -> Generator[Bad]:
    """Whoever has no key, or not in the place where it belongs."""
    yield Bad((401,), GOOD, bearer=False)
    for value in ("", "Bearer", API_KEY, f"Basic {API_KEY}", BEARER[:-1], f"{BEARER}x", BEARER.upper(), "Bearer clé💳"):
        yield Bad((401,), GOOD, bearer=False, headers=(("Authorization", value),))
    yield Bad((401,), GOOD, bearer=False, headers=(("Authorization", "Bearer wrong"), ("Authorization", BEARER)))
    for path in (PAYMENTS, "/v1/transactions", "/v1/balances", "/v1/events"):
        yield Bad((401,), method="GET", path=f"{path}?api_key={API_KEY}", bearer=False, key=False)
    yield Bad((401,), b"{}", path=f"{PAYMENTS}/any/refunds", bearer=False)


def addresses() -> Generator[Bad]:
    """Where nothing is, and what can't be done there."""
    for path in (
        "/",
        "/v1",
        "/v1/payment",
        "/v2/payments",
        "/v1/payments/",
        "/v1/payments/a/b",
        "/.env",
        "/v1/payments/a%2Fb",
    ):
        yield Bad((404,), method="GET", path=path, key=False)
    yield Bad((404, 503), method="GET", path=f"{PAYMENTS}/%27%20OR%201%3D1--", key=False)
    yield Bad((404,), GOOD, path=f"{PAYMENTS}/")
    for method, path in (("PUT", PAYMENTS), ("DELETE", "/v1/transactions"), ("PATCH", f"{PAYMENTS}/any")):
        yield Bad((405,), method=method, path=path)
    for query in QUERIES:
        yield Bad((422,), method="GET", path=f"{PAYMENTS}?{query}", key=False)
    for cursor in ("x", "A" * 5000, "%00", "%C3%BC"):
        yield Bad((400,), method="GET", path=f"{PAYMENTS}?cursor={cursor}", key=False)
    for query in ("after=-1", "after=x", "after=1.5", "limit=0"):
        yield Bad((422,), method="GET", path=f"/v1/events?{query}", key=False)


def parts() -> Generator[Bad]:
    """Refunds and captures that can't be read. There is no payment of this name either, and that is no excuse."""
    for call in ("refunds", "capture"):
        path = f"{PAYMENTS}/nobody-paid-this/{call}"
        for amount in ("0", "-1", "1.5", '"1"', "true", "1e308", str(2**63), "[]"):
            yield Bad((422,), f'{{"amount": {amount}}}'.encode(), path=path)
        yield Bad((400,), b'{"amount": NaN}', path=path)
        yield Bad((422,), b'{"amount": 1, "currency": "EUR"}', path=path)
        yield Bad((422,), b'{"ammount": 1}', path=path)
        yield Bad((400,), b"{}", path=path, key=False)
        yield Bad((404, 503), b"{}", path=path)
    yield Bad((404, 503), b"{}", path=f"{PAYMENTS}/nobody-paid-this/cancel")
    yield Bad((422,), b'{"amount": 1}', path=f"{PAYMENTS}/nobody-paid-this/cancel")


async def send(field: Field, bad: Bad) -> Reply:
    """It, with an Idempotency-Key that nothing else has."""
    headers = CIMultiDict(bad.headers)
    key = field.key("bad") if bad.key else None
    if key is not None:
        headers["Idempotency-Key"] = key
    if bad.bearer:
        headers["Authorization"] = BEARER
    return await field.shop.send(
        "bad", bad.path, method=bad.method, id_=key, raw=bad.raw, headers=headers, expected=list(bad.expected)
    )


async def _send_all(field: Field, every: list[Bad]) -> list[Reply]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(bad: Bad) -> Reply:
        async with places:
            return await send(field, bad)

    return await asyncio.gather(*map(one, every))


def _group(group: Callable[[], Generator[Bad]]) -> Inject:
    async def inject(field: Field, random: Random) -> str | None:
        every = list(group())
        random.shuffle(every)
        replies = await _send_all(field, every)
        refused = sum(reply.status in bad.expected for bad, reply in zip(every, replies, strict=True))
        answered = sum(reply.status is not None for reply in replies)
        return f"{refused} of {answered} refused as expected" if refused else None

    return inject


GROUPS: Final[dict[str, tuple[tuple[str, ...], str, Callable[[], Generator[Bad]]]]] = {
    "keys": (("F28",), "idempotency keys that are missing, empty, too long, not ASCII, or two", keys),
    "amounts": (("F42",), "NaN, 1e308, 2^63, booleans, text and fractions for an amount", amounts),
    "bodies": (("F43",), "10 MB, 10,000 levels, 10,000 metadata pairs, and what is no JSON", bodies),
    "strangers": (("F45",), "no key, a wrong one, or the right one in a wrong place", strangers),
    "addresses": (("F45",), "unknown paths, methods, parameters and cursors", addresses),
    "parts": (("F42",), "refunds, captures and cancellations that can't be read", parts),
}


async def refuse_all(field: Field) -> None:
    """Each of them once, and nothing else."""
    await _send_all(field, [bad for _, _, group in GROUPS.values() for bad in group()])


def _fault(name: str) -> Fault:
    covers, what, group = GROUPS[name]
    return misbehaves(f"bad-{name}", covers, what, _group(group))


FAULTS: Final = tuple(_fault(name) for name in GROUPS)
