"""The processor's journal against the ledger: both say what was charged and refunded, or the difference is named."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from paysaga.demo.service import Service, money

_PAYMENTS: Final = "SELECT id, status, currency, amount_captured, amount_refunded FROM payments WHERE id = ANY($1)"
# What moved at the processor, not what is owed or held. Outer: a transaction without a posting is a difference too.
_POSTED: Final = """
    SELECT t.payment_id, t.operation, t.operation_key, p.amount, p.currency
    FROM ledger_transactions t LEFT JOIN postings p ON p.transaction = t.sequence
    WHERE t.payment_id = ANY($1) AND t.operation IN ('capture', 'refund', 'refund_reversal')
"""
_BALANCES: Final = "SELECT currency, account, balance FROM balances ORDER BY currency, account"


class Move(NamedTuple):
    """Money that moved. The key is the one that was sent to the processor."""

    operation: str
    key: str
    amount: int | None
    currency: str | None

    def __str__(self) -> str:
        if self.amount is None or self.currency is None:
            return f"{self.operation} without a posting ({self.key})"
        return f"{self.operation} of {money(self.amount, self.currency)} ({self.key})"


@dataclass
class Statement:
    """One payment, as the processor did it and as our books have it."""

    payment_id: str
    status: str = "not in the ledger"
    currency: str = "EUR"
    claimed: tuple[int, int] = (0, 0)
    """Charged and refunded, as the payment's row says."""
    done: list[Move] = field(default_factory=list[Move])
    posted: list[Move] = field(default_factory=list[Move])

    def differences(self) -> list[str]:
        done, posted = Counter(self.done), Counter(self.posted)
        found = [f"the ledger has a {move} that the processor never did" for move in (posted - done).elements()]
        found += [f"the processor did a {move} that the ledger doesn't have" for move in (done - posted).elements()]
        moved = (total(self.done, "capture"), total(self.done, "refund"))
        for word, claimed, really in zip(("charged", "refunded"), self.claimed, moved, strict=True):
            if claimed != really:
                said, did = money(claimed, self.currency), money(really, self.currency)
                found.append(f"the payment says that {said} was {word}, the processor {did}")
        if len([move for move in self.done if move.operation == "capture"]) > 1:
            found.append("it was charged more than once")
        return [f"{self.payment_id}: {what}" for what in found]


@dataclass(frozen=True)
class Books:
    """The demo's payments, and the balances of the whole ledger as {currency: {account: balance}}."""

    statements: list[Statement]
    balances: dict[str, dict[str, int]]

    def differences(self) -> list[str]:
        return [difference for statement in self.statements for difference in statement.differences()]

    def unbalanced(self) -> list[str]:
        """Currencies whose debits and credits differ."""
        return [currency for currency, accounts in self.balances.items() if sum(accounts.values()) != 0]


def total(moves: list[Move], operation: str) -> int:
    return sum(move.amount or 0 for move in moves if move.operation == operation)


async def read_books(service: Service, payment_ids: Sequence[str]) -> Books:
    """Ask both sides."""
    statements = {payment_id: Statement(payment_id) for payment_id in payment_ids}
    for row in await service.ledger.fetch(_PAYMENTS, list(payment_ids)):
        statement = statements[row["id"]]
        statement.status, statement.currency = row["status"], row["currency"]
        statement.claimed = (row["amount_captured"], row["amount_refunded"])
    for payment_id, *move in await service.ledger.fetch(_POSTED, list(payment_ids)):
        statements[payment_id].posted.append(Move(*move))
    for payment_id, statement in statements.items():
        statement.done = [
            Move(entry["operation"], entry["key"], entry["amount"], entry["currency"])
            for entry in await service.journal(payment_id)
            if entry["operation"] in {"capture", "refund"}
        ]
    balances: dict[str, dict[str, int]] = {}
    for currency, account, balance in await service.ledger.fetch(_BALANCES):
        balances.setdefault(currency, {})[account] = balance
    return Books(list(statements.values()), balances)
