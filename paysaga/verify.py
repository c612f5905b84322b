"""`paysaga verify`: proves that the books are as they should be, or names the first row that isn't."""

import asyncpg

from ledger.chain import EXTENDED_AT_ONCE, Finding, PostgresChain, verify
from ledger.connections import open_pool
from ledger.migrate import migrations
from ledger.port import LedgerUnavailable
from paysaga.settings import Settings

_BROKEN = 1
_UNAVAILABLE = 3


async def run(settings: Settings) -> int:
    """Check every rule and print each; returns the exit code: 1 when one is broken, 3 when the books can't be read."""
    pool = await open_pool(settings.database_url, 1)
    try:
        chain = PostgresChain(pool)
        while await chain.extend_chain() == EXTENDED_AT_ONCE:
            pass
        connection = await asyncpg.connect(settings.database_url, timeout=10)
    except (LedgerUnavailable, OSError, asyncpg.PostgresError) as error:
        print(f"paysaga: the books can't be read: {error}")
        print(f"Is the database there, and migrated as far as {list(migrations())[-1]} (`paysaga migrate`)?")
        return _UNAVAILABLE
    finally:
        pool.terminate()
    try:
        return await _verify(connection)
    finally:
        await connection.close()


async def _verify(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    broken = 0
    async for found in verify(connection):
        if isinstance(found, Finding):
            print(f"{'ok     ' if found.broken_by is None else 'BROKEN '} {found.rule}", flush=True)
            if found.broken_by is not None:
                print(f"        first: {found.broken_by}", flush=True)
                broken += 1
        else:
            print(f"chain   {found.number:,} movements, last hash {found.hash}", flush=True)
    print("The books are as they should be." if not broken else f"{broken} rules are broken: see above.", flush=True)
    return _BROKEN if broken else 0
