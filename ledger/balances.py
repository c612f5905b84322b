"""What went through the accounts, from PostgreSQL. The chain carries the totals: see 0008_chain.sql."""

from ledger.connections import Connected, Connection
from ledger.queries import QUERIES
from ledger.reading import Balance, CustomerBalance


class PostgresBalances(Connected):
    """Implements `ledger.reading.Balances`."""

    async def balances(self) -> tuple[Balance, ...]:
        """See `Balances.balances`."""

        async def work(connection: Connection) -> tuple[Balance, ...]:
            return tuple(Balance.model_validate(dict(row)) for row in await connection.fetch(QUERIES["balances"]))

        return await self._run(work)

    async def balances_of(self, customer: str) -> tuple[CustomerBalance, ...]:
        """See `Balances.balances_of`."""

        async def work(connection: Connection) -> tuple[CustomerBalance, ...]:
            rows = await connection.fetch(QUERIES["balances_of_customer"], customer)
            return tuple(CustomerBalance.model_validate(dict(row)) for row in rows)

        return await self._run(work)
