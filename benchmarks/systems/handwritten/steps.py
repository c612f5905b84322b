"""Pays step by step. What was done is durable before the next step begins."""

import uuid

import asyncpg

from benchmarks.systems.charging import capture_of, claim_of, executed, hold_for, success_of
from gateways.sandbox.gateway import SandboxGateway
from ledger.connections import Pool
from ledger.port import LedgerUnavailable
from ledger.postgres import PostgresLedger
from payments.operations import Executed
from payments.payment import Payment
from payments.request import RecordedRequest

_MARK_AUTHORIZED = """
    UPDATE payments SET amount_authorized = $2, processor_reference = $3, updated_at = now()
    WHERE id = $1 AND answer IS NULL
"""


class KeyReused(Exception):
    """The key was used for another request."""


class Steps:
    """The payments of one process."""

    def __init__(self, pool: Pool, gateway: SandboxGateway) -> None:
        self._pool = pool
        self._gateway = gateway
        self._ledger = PostgresLedger(pool)

    async def pay(self, payment_id: str, request: RecordedRequest) -> Payment:
        """Pay, or answer what was answered before. A payment that was begun and not finished is done again with the
        same keys, which neither the processor nor the ledger does twice.

        Raises `KeyReused`, `ChargeRefused`, and `LedgerError` or `GatewayError` when the same may succeed later.
        """
        row = await self._ledger.claim(claim_of(payment_id, request, uuid.uuid4().hex))
        if row.fingerprint != request.fingerprint():
            raise KeyReused
        if row.answer is not None:
            return row.answer
        hold = await executed(self._gateway, hold_for(payment_id, request))
        await self._mark_authorized(payment_id, hold)
        charge = await executed(self._gateway, capture_of(payment_id, request, hold))
        return await self._ledger.decide(success_of(payment_id, request, hold, charge))

    async def _mark_authorized(self, payment_id: str, hold: Executed) -> None:
        try:
            await self._pool.execute(_MARK_AUTHORIZED, payment_id, hold.amount, hold.reference)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise LedgerUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error
