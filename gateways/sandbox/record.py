"""`ProcessorRecord` for the sandbox processor."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Final, Literal

import aiohttp
from pydantic import AwareDatetime, BaseModel, ValidationError

from gateways.port import OutcomeUnknown
from payments.settlement import ItemOperation, Period, SettlementItem

PAGE: Final = 1000
# A page of a thousand lines.
PAGE_SECONDS: Final = 10.0
_PAGE_BYTES_MAX: Final = 4 * 1024 * 1024

# Voids aren't here: that a hold is not held any more is seen in the hold.
_OPERATIONS: Final[Mapping[str, ItemOperation]] = MappingProxyType(
    {
        "authorize": ItemOperation.HOLD,
        "capture": ItemOperation.CAPTURE,
        "refund": ItemOperation.REFUND,
        "refund_failed": ItemOperation.REFUND_REVERSAL,
    }
)
_STATES: Final[Mapping[str, Literal["open", "captured", "ended"]]] = MappingProxyType(
    {"open": "open", "captured": "captured", "voided": "ended", "expired": "ended"}
)


class _Line(BaseModel):
    sequence: int
    operation: str
    key: str
    reference: str
    payment_id: str
    amount: int
    currency: str
    executed_at: AwareDatetime
    hold: str | None

    def item(self) -> SettlementItem | None:
        operation = _OPERATIONS.get(self.operation)
        if operation is None:
            return None
        return SettlementItem(
            operation=operation,
            reference=self.reference,
            payment_id=self.payment_id,
            amount=self.amount,
            currency=self.currency.upper(),
            executed_at=self.executed_at,
            operation_key=self.key,
            state=None if self.hold is None else _STATES.get(self.hold),
        )


class _Page(BaseModel):
    data: list[_Line]
    next_after: int | None


class SandboxRecord:
    """Reads the sandbox's record of what it did."""

    name = "sandbox"

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url.rstrip('/')}/v1/record"

    async def items(self, period: Period) -> AsyncIterator[tuple[SettlementItem, ...]]:
        """See `ProcessorRecord.items`."""
        query = {"from": period.start.isoformat(), "to": period.end.isoformat(), "limit": str(PAGE)}
        after: int | None = 0
        while after is not None:
            page = await self._page(query | {"after": str(after)})
            yield _items(page)
            after = page.next_after

    async def items_of(self, key: str) -> tuple[SettlementItem, ...]:
        """See `ProcessorRecord.items_of`."""
        return _items(await self._page({"key": key, "limit": str(PAGE)}))

    async def _page(self, query: dict[str, str]) -> _Page:
        try:
            async with (
                asyncio.timeout(PAGE_SECONDS),
                self._session.get(self._url, params=query, allow_redirects=False) as reply,
            ):
                content = await reply.content.read(_PAGE_BYTES_MAX)
                while not reply.content.at_eof() and len(content) < _PAGE_BYTES_MAX:
                    content += await reply.content.read(_PAGE_BYTES_MAX - len(content))
                if reply.status != 200:
                    raise OutcomeUnknown(f"the processor's record can't be read: it answered {reply.status}")
                return _Page.model_validate_json(content)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise OutcomeUnknown(f"the processor's record can't be read: {type(error).__name__}") from error
        except ValidationError as error:
            raise OutcomeUnknown("the processor's record can't be read: it is none") from error


def _items(page: _Page) -> tuple[SettlementItem, ...]:
    return tuple(item for line in page.data if (item := line.item()) is not None)
