"""`/v1/reconciliation/cases`: where the books and the processor differ, for operators."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api import describing
from api.calling import read
from api.listing import LINK, Paging, no_repeats, page
from api.problems import Code, ProblemError, responses
from api.reading import body_of
from api.services import Services, authenticated, services_of
from payments.request import Description
from payments.settlement import Case, CaseStatus

router = APIRouter(
    prefix="/v1/reconciliation/cases",
    tags=["reconciliation"],
    dependencies=[Depends(authenticated), Depends(no_repeats)],
)

_CASES: Final = TypeAdapter(tuple[Case, ...])


class CaseQuery(Paging):
    """The parameters of a list of cases."""

    model_config = ConfigDict(extra="forbid")

    status: CaseStatus | None = None


class CaseList(BaseModel):
    """A page of cases, the newest first."""

    data: list[Case]
    next_cursor: str | None


class Resolution(BaseModel):
    """Why a case is all right, or what was done about it outside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Annotated[Description, Field(min_length=1)]


def case_not_found() -> ProblemError:
    """For an id that no case has."""
    return ProblemError(Code.CASE_NOT_FOUND, "There is no case with this id. GET /v1/reconciliation/cases lists them.")


@router.get(
    "",
    response_model=CaseList,
    responses=LINK
    | responses(
        Code.UNAUTHENTICATED,
        Code.CURSOR_INVALID,
        Code.VALIDATION_FAILED,
        Code.CARD_NUMBER_REFUSED,
        Code.DATABASE_UNAVAILABLE,
    ),
)
async def list_cases(
    request: Request, query: Annotated[CaseQuery, Query()], services: Annotated[Services, Depends(services_of)]
) -> Response:
    """Differences that did not heal by themselves, with what each side says."""
    cases = services.cases
    return await page(
        request, query, services.cursors, _CASES, lambda after, limit: cases.cases(query.status, after, limit)
    )


@router.get(
    "/{case_id}",
    response_model=Case,
    responses=responses(Code.UNAUTHENTICATED, Code.CASE_NOT_FOUND, Code.CARD_NUMBER_REFUSED, Code.DATABASE_UNAVAILABLE),
)
async def get_case(case_id: str, services: Annotated[Services, Depends(services_of)]) -> Case:
    """One of them."""
    case = await read(services.cases.case(case_id))
    if case is None:
        raise case_not_found()
    return case


@router.post(
    "/{case_id}/resolve",
    response_model=Case,
    openapi_extra=describing.RESOLVE_CASE,
    responses=responses(
        Code.MALFORMED_JSON,
        Code.UNAUTHENTICATED,
        Code.CASE_NOT_FOUND,
        Code.CASE_NOT_OPEN,
        Code.PAYLOAD_TOO_LARGE,
        Code.UNSUPPORTED_MEDIA_TYPE,
        Code.VALIDATION_FAILED,
        Code.CARD_NUMBER_REFUSED,
        Code.DATABASE_UNAVAILABLE,
    ),
)
async def resolve_case(
    case_id: str,
    services: Annotated[Services, Depends(services_of)],
    body: Annotated[Resolution, Depends(body_of(Resolution))],
) -> Any:
    """End a case with a reason. It moves no money and changes no payment. Safe to send again."""
    case = await read(services.cases.resolve(case_id, body.reason))
    if case is None:
        raise case_not_found()
    if (case.status, case.reason) != (CaseStatus.RESOLVED, body.reason):
        raise ProblemError(Code.CASE_NOT_OPEN, f"The case is {case.status} already, and its reason stays as it is.")
    return case
