"""Lists: a page at a time, the newest first, each with the cursor of the next."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, TypeAdapter

from api.calling import read
from api.cursors import Cursors
from api.problems import Code, FieldError, ProblemError
from payments.history import Listed, PaymentFilter, Place, TransactionFilter

# Stripe's limits (https://docs.stripe.com/api/pagination).
LIMIT_MAX: Final = 100
LIMIT_DEFAULT: Final = 10
_PAGING: Final = frozenset({"limit", "cursor"})
LINK: Final[dict[int | str, dict[str, Any]]] = {
    200: {"headers": {"Link": {"description": 'The next page, `rel="next"` (RFC 8288)', "schema": {"type": "string"}}}}
}


Item = TypeVar("Item", bound=Listed)
Fetch = Callable[[Place | None, int], Coroutine[Any, Any, tuple[Item, ...]]]


class Paging(BaseModel):
    """Which page."""

    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="How many at most")] = LIMIT_DEFAULT
    cursor: Annotated[str | None, Field(description="`next_cursor` of the page before")] = None


class PaymentQuery(PaymentFilter, Paging):
    """The parameters of a list of payments."""


class TransactionQuery(TransactionFilter, Paging):
    """The parameters of a list of transactions."""


def no_repeats(request: Request) -> None:
    """Dependency: of a parameter that is given twice, one value would be ignored. Raises `ProblemError`."""
    names = [name for name, _ in request.query_params.multi_items()]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        errors = [FieldError(pointer=f"/query/{name}", detail="is given more than once") for name in repeated[:10]]
        raise ProblemError(Code.VALIDATION_FAILED, "Give each parameter once. See `errors`.", errors=errors)


async def page(
    request: Request,
    query: Paging,
    cursors: Cursors,
    items: TypeAdapter[tuple[Item, ...]],
    fetch: Fetch[Item],
    place: Callable[[Item], Place] = Place.of,
) -> Response:
    """`{data, next_cursor}` with a `Link` to the next page (RFC 8288), relative to wherever this API is served.

    Raises `ProblemError` for a cursor that is not ours, and `LedgerUnavailable`.
    """
    scope = scope_of(request, query)
    after = None if query.cursor is None else cursors.read(scope, query.cursor)
    # One more than asked for tells whether there is a next page.
    found = await read(fetch(after, query.limit + 1))
    data, rest = found[: query.limit], found[query.limit :]
    cursor = cursors.write(scope, place(data[-1])) if rest else None
    headers = {} if cursor is None else {"Link": f'<{_next(request, cursor)}>; rel="next"'}
    told = "null" if cursor is None else f'"{cursor}"'
    content = b'{"data":%b,"next_cursor":%b}' % (items.dump_json(data), told.encode())
    return Response(content, headers=headers, media_type="application/json")


def scope_of(request: Request, query: Paging) -> str:
    """The list and its filters, in the same words however they were spelled."""
    return f"{request.scope['path']}?{query.model_dump_json(exclude=set(_PAGING), exclude_none=True)}"


def _next(request: Request, cursor: str) -> str:
    given = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{request.scope['raw_path'].decode('ascii')}?{urlencode([*given, ('cursor', cursor)])}"
