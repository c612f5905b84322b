"""Probes: is the process alive, and can it take payments."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.services import Services, services_of

router = APIRouter(tags=["health"])

# Below the time-out of usual probes (Kubernetes: 1 s by default, commonly raised to 3 s).
CHECK_SECONDS = 2.0


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether payments can be taken, and what is missing otherwise."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unavailable"]
    temporal: Literal["ok", "unavailable"]


@router.get("/livez")
async def livez() -> Live:
    """The process is alive."""
    return Live()


@router.get("/readyz", responses={503: {"model": Ready}})
async def readyz(services: Annotated[Services, Depends(services_of)]) -> JSONResponse:
    """PostgreSQL (with its schema) and Temporal answer."""

    async def passes(check: str) -> Literal["ok", "unavailable"]:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await (services.check_database() if check == "database" else services.check_temporal())
        except Exception:
            return "unavailable"
        return "ok"

    database, temporal = await asyncio.gather(passes("database"), passes("temporal"))
    status = "ok" if database == temporal == "ok" else "unavailable"
    body = Ready(status=status, database=database, temporal=temporal)
    return JSONResponse(body.model_dump(), status_code=200 if status == "ok" else 503)
