"""`paysaga migrate`: brings the database's schema and Temporal's search attributes up to date."""

import sys

import asyncpg
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client

from ledger.migrate import migrate
from paysaga.services import connect_temporal
from paysaga.settings import Settings
from workflows import names

_KINDS = {
    names.STATUS.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    names.CURRENCY.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    names.AMOUNT.name: IndexedValueType.INDEXED_VALUE_TYPE_INT,
    names.CUSTOMER.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    names.ORDER.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
}


async def run(settings: Settings) -> None:
    """Apply what is missing and say what was done. Safe to run again, and by several processes at once."""
    connection = await asyncpg.connect(settings.owner_url, timeout=10)
    try:
        applied = await migrate(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        print(f"paysaga: the database can't be migrated: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    finally:
        await connection.close()
    print(f"migrations applied: {', '.join(applied) or 'none, the schema is up to date'}", flush=True)
    added = await register_search_attributes(await connect_temporal(lazy=False))
    print(f"search attributes registered: {', '.join(added) or 'none, all are there'}", flush=True)


async def register_search_attributes(client: Client) -> list[str]:
    """Register the names that payments are found by in Temporal; returns those that were missing."""
    missing = await missing_search_attributes(client)
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace, search_attributes={name: _KINDS[name] for name in missing}
            )
        )
    return missing


async def missing_search_attributes(client: Client) -> list[str]:
    """Names that Temporal doesn't know. Raises `RPCError` when Temporal doesn't answer."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    known = await client.operator_service.list_search_attributes(request, retry=False)
    return [name for name in _KINDS if name not in known.custom_attributes]
