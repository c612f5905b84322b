"""`/v1/transactions` and `/v1/customers/{customer}/transactions`."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, TypeAdapter

from api.exporting import Format, accepted, export
from api.listing import LINK, TransactionQuery, no_repeats, page
from api.problems import Code, FieldError, ProblemError, responses
from api.services import Services, authenticated, services_of
from payments.history import Transaction
from payments.request import Identifier

router = APIRouter(prefix="/v1", tags=["transactions"], dependencies=[Depends(authenticated), Depends(no_repeats)])

_LINES: Final = TypeAdapter(tuple[Transaction, ...])


class TransactionList(BaseModel):
    """A page of the history, the newest first."""

    data: list[Transaction]
    next_cursor: str | None


_CSV: Final = (
    "id,created_at,type,status,amount,amount_decimal,currency,...\r\n"
    "txn_4711,2026-11-23T10:00:00+00:00,capture,succeeded,4990,49.90,EUR,...\r\n"
)
_LISTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A page as JSON; everything, streamed, as CSV or as JSON lines (by `Accept`)",
        "headers": LINK[200]["headers"],
        "content": {
            Format.CSV: {"schema": {"type": "string"}, "example": _CSV},
            Format.NDJSON: {"schema": {"$ref": "#/components/schemas/Transaction"}},
        },
    }
} | responses(
    Code.UNAUTHENTICATED,
    Code.CURSOR_INVALID,
    Code.NOT_ACCEPTABLE,
    Code.VALIDATION_FAILED,
    Code.CARD_NUMBER_REFUSED,
    Code.DATABASE_UNAVAILABLE,
)


@router.get("/transactions", response_model=TransactionList, responses=_LISTED)
async def list_transactions(
    request: Request,
    query: Annotated[TransactionQuery, Query()],
    services: Annotated[Services, Depends(services_of)],
) -> Response:
    """The history: each movement of money, and each payment or refund that came to nothing, with its reason."""
    return await _answer(request, query, services)


@router.get("/customers/{customer:path}/transactions", response_model=TransactionList, responses=_LISTED)
async def list_transactions_of_customer(
    request: Request,
    customer: Identifier,
    query: Annotated[TransactionQuery, Query()],
    services: Annotated[Services, Depends(services_of)],
) -> Response:
    """The history of one customer. Empty for one that nobody has heard of."""
    if query.customer is not None:
        error = FieldError(pointer="/query/customer", detail="stands in the path already")
        raise ProblemError(Code.VALIDATION_FAILED, "The customer is given twice. See `errors`.", errors=[error])
    return await _answer(request, query.model_copy(update={"customer": customer}), services)


async def _answer(request: Request, query: TransactionQuery, services: Services) -> Response:
    format_, history = accepted(request), services.history
    if format_ is Format.JSON:
        return await page(
            request, query, services.cursors, _LINES, lambda after, limit: history.transactions(query, after, limit)
        )
    if paging := sorted(query.model_fields_set & {"limit", "cursor"}):
        errors = [FieldError(pointer=f"/query/{name}", detail="is for JSON only") for name in paging]
        raise ProblemError(
            Code.VALIDATION_FAILED,
            f"As {format_} everything comes at once, without pages. See `errors`.",
            errors=errors,
        )
    return await export(history, query, format_)
