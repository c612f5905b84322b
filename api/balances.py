"""`/v1/balances` and `/v1/customers/{customer}/balances`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from api.calling import read
from api.listing import no_repeats
from api.problems import Code, responses
from api.services import Services, authenticated, services_of
from ledger.reading import Balance, CustomerBalance
from payments.request import Identifier

router = APIRouter(prefix="/v1", tags=["balances"], dependencies=[Depends(authenticated), Depends(no_repeats)])


class TrialBalance(BaseModel):
    """Every account in every currency. In each currency the debits equal the credits."""

    data: list[Balance]


class CustomerBalances(BaseModel):
    """What a customer paid and got back, by currency."""

    data: list[CustomerBalance]


@router.get("/balances", responses=responses(Code.UNAUTHENTICATED, Code.CARD_NUMBER_REFUSED, Code.DATABASE_UNAVAILABLE))
async def get_balances(services: Annotated[Services, Depends(services_of)]) -> TrialBalance:
    """The trial balance, at this moment."""
    return TrialBalance(data=list(await read(services.balances.balances())))


@router.get(
    "/customers/{customer:path}/balances",
    responses=responses(
        Code.UNAUTHENTICATED, Code.VALIDATION_FAILED, Code.CARD_NUMBER_REFUSED, Code.DATABASE_UNAVAILABLE
    ),
)
async def get_balances_of_customer(
    customer: Identifier, services: Annotated[Services, Depends(services_of)]
) -> CustomerBalances:
    """Of one customer. Empty for one that nobody has heard of."""
    return CustomerBalances(data=list(await read(services.balances.balances_of(customer))))
