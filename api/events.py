"""`/v1/events`: everything that happens to payments, in one line."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from api.calling import read
from api.listing import no_repeats
from api.problems import Code, responses
from api.services import Services, authenticated, services_of
from payments.timeline import FeedEvent

router = APIRouter(prefix="/v1/events", tags=["events"], dependencies=[Depends(authenticated), Depends(no_repeats)])

# As PostgreSQL counts.
_SEQUENCE_MAX: Final = 2**63 - 1
_LIMIT_MAX: Final = 1000
_LIMIT_DEFAULT: Final = 100


class FeedQuery(BaseModel):
    """Which part of the feed."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[int, Field(ge=0, le=_SEQUENCE_MAX, description="The last `sequence` that you have; 0: none")] = 0
    limit: Annotated[int, Field(ge=1, le=_LIMIT_MAX, description="How many at most")] = _LIMIT_DEFAULT


class EventFeed(BaseModel):
    """A part of the feed, the oldest first."""

    data: list[FeedEvent]
    next_after: int = Field(description="`after` of your next request, now or later")


_FED: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "The oldest first. Empty: nothing new yet"}}


@router.get(
    "",
    response_model=EventFeed,
    responses=_FED
    | responses(Code.UNAUTHENTICATED, Code.VALIDATION_FAILED, Code.CARD_NUMBER_REFUSED, Code.DATABASE_UNAVAILABLE),
)
async def get_events(
    query: Annotated[FeedQuery, Query()], services: Annotated[Services, Depends(services_of)]
) -> Response:
    """What happened to all payments, numbered without gaps: keep the last `sequence`, and ask what came after."""
    feed = services.feed
    # So that whoever asks sees what they have just done; what somebody else is numbering now comes next time.
    await read(feed.extend_feed())
    events = await read(feed.events(query.after, query.limit))
    answer = EventFeed(data=list(events), next_after=events[-1].sequence if events else query.after)
    return Response(answer.model_dump_json(), media_type="application/json")
