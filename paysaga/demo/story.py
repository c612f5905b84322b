"""The story that the demo tells: each step does something to a payment, shows what happened and checks it."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from activities.options import TRY_TIMEOUT
from paysaga.demo.books import Books, read_books, total
from paysaga.demo.service import POLL_SECONDS, Reply, Service, amount, money
from paysaga.demo.terminal import Terminal

CARD: Final[dict[str, Any]] = {"currency": "EUR", "payment_method": "pm_card_visa"}
DUPLICATES: Final = 20
# Long enough for kill -9 to come in between, short enough for the charge to be there when somebody looks for it.
SLOW_SECONDS: Final = 3
# Hardly anybody else on this stack uses it while its account is closed for some seconds.
CLOSED_CURRENCY: Final = "ISK"


@dataclass
class Demo:
    """One telling of the story. Keys are new each time, so that it can be told again on the same data."""

    service: Service
    terminal: Terminal
    run: str = field(default_factory=lambda: secrets.token_hex(3))
    payment_ids: list[str] = field(default_factory=list[str])

    def new_key(self, words: str) -> str:
        key = f"demo-{self.run}-{words}"
        self.payment_ids.append(key)
        return key

    async def pay(self, key: str, **body: Any) -> Reply:
        """Send a payment as a client does."""
        how = f"{money(body['amount'], body['currency'])} with {body['payment_method']}"
        self.terminal.does(f"POST /v1/payments  {how}  Idempotency-Key: {key}")
        return await self.service.pay(key, **body)

    def expect(self, reply: Reply, http: int, status: str, meaning: str = "") -> None:
        """Show the answer to a new request, and compare it."""
        self.terminal.saw(reply.described())
        if reason := reply.reason():
            self.terminal.note(reason)
        ok = (reply.http, reply.status, reply.replayed) == (http, status, False)
        self.terminal.check(f"{http} {status}{meaning}", ok=ok, got=reply.described())

    async def expect_journal(self, key: str, *operations: str, means: str) -> None:
        """The processor is the witness: it is asked what it really did."""
        journal = await self.service.operations(key)
        told = f"{means} (the processor's journal: {', '.join(operations) or 'empty'})"
        self.terminal.check(told, ok=journal == list(operations), got=", ".join(journal) or "empty")


async def a_payment(demo: Demo) -> None:
    key = demo.new_key("1-payment")
    demo.expect(await demo.pay(key, amount=4990, **CARD), 201, "succeeded")
    await demo.expect_journal(key, "authorize", "capture", means="charged once")
    demo.terminal.note(f"Its workflow: {demo.service.web_ui(key)}")


async def duplicates(demo: Demo) -> None:
    key = demo.new_key("2-duplicates")
    demo.terminal.does(f"{DUPLICATES} x POST /v1/payments  all at once, the same body  Idempotency-Key: {key}")
    body = CARD | {"amount": 1200}
    replies = await asyncio.gather(*(demo.service.pay(key, **body) for _ in range(DUPLICATES)))
    answers = [str(reply) for reply in replies]
    new = sum(not reply.replayed for reply in replies)
    told = ", ".join(f"{answers.count(answer)} x {answer}" for answer in sorted(set(answers)))
    demo.terminal.saw(f"{told}; {new} new, {DUPLICATES - new} with Idempotent-Replayed: true")
    demo.terminal.check(f"{DUPLICATES} x 201 succeeded", ok=answers == ["201 succeeded"] * DUPLICATES, got=told)
    demo.terminal.check("exactly 1 of them new, the others its replays", ok=new == 1, got=f"{new} new")
    same = all(reply.body == replies[0].body for reply in replies)
    demo.terminal.check("everybody got the same payment", ok=same, got="different bodies")
    await demo.expect_journal(key, "authorize", "capture", means="charged once")


async def another_amount(demo: Demo) -> None:
    key = demo.payment_ids[0]
    reply = await demo.pay(key, amount=9990, **CARD)
    demo.expect(reply, 422, "idempotency_key_reused")
    fields = [error["pointer"] for error in reply.body.get("errors", [])]
    demo.terminal.check("it names what differs: /amount", ok=fields == ["/amount"], got=fields)
    await demo.expect_journal(key, "authorize", "capture", means="nothing more was charged")


async def a_decline(demo: Demo) -> None:
    key = demo.new_key("4-decline")
    reply = await demo.pay(key, amount=4990, currency="EUR", payment_method="pm_card_chargeDeclined")
    demo.expect(reply, 201, "declined")
    await demo.expect_journal(key, means="nothing was held or charged")


async def a_lost_reply(demo: Demo) -> None:
    key = demo.new_key("5-lost-reply")
    demo.terminal.note("The processor will charge this one, but its reply will be lost.")
    paying = asyncio.create_task(
        demo.pay(key, amount=2500, currency="EUR", payment_method="pm_sandbox_timeoutAfterCharge")
    )
    try:
        async with demo.terminal.clock("the worker waits for the processor, up to 5 s"):
            seen = await _until_unknown(demo, key, paying)
        if seen is not None:
            unknown = seen.body["outcome_unknown"]
            demo.terminal.does(f"GET /v1/payments/{key}  while the client still waits")
            demo.terminal.saw(f"{seen}, outcome_unknown: {unknown['operation']} since {unknown['since'][11:19]} UTC")
        told = "while nobody can know, it says so: 200 processing, outcome_unknown"
        demo.terminal.check(told, ok=seen is not None, got="never seen")
        await demo.expect_journal(key, "authorize", "capture", means="the money has moved")
        demo.terminal.note(
            "The worker sends nothing again before it has asked the processor for the charge by its key."
        )
        async with demo.terminal.clock("the client waits"):
            reply = await paying
    finally:
        paying.cancel()
    demo.expect(reply, 201, "succeeded", ": the charge was found")
    await demo.expect_journal(key, "authorize", "capture", means="charged once")


async def _until_unknown(demo: Demo, key: str, paying: asyncio.Task[Reply]) -> Reply | None:
    while not paying.done():
        reply = await demo.service.get(key)
        if reply.http == 200 and reply.status == "processing" and reply.body["outcome_unknown"]:
            return reply
        await asyncio.sleep(POLL_SECONDS)
    return None


async def a_killed_worker(demo: Demo) -> None:
    key = demo.new_key("6-killed-worker")
    service, terminal = demo.service, demo.terminal
    terminal.note(f"The processor will take {SLOW_SECONDS} s for this charge, and the worker will die in between.")
    await service.slow_capture(key, SLOW_SECONDS)
    paying = asyncio.create_task(demo.pay(key, amount=7700, **CARD))
    try:
        await service.until_capture_was_sent(key, paying)
        pid = await service.kill_worker()
        terminal.does(f"kill -9 {pid}  the worker, while the processor is charging")
        async with terminal.clock("the processor is charging, and nobody listens"):
            await service.until_done(key, "capture")
            another = await service.until_another_worker(pid)
        terminal.saw(f"the processor has charged; the stack has started another worker (PID {another})")
        terminal.note(
            f"Temporal notices a lost try when its {TRY_TIMEOUT.seconds} s are over, and gives the step to the new "
            "worker. The client just waits."
        )
        async with terminal.clock("the client waits"):
            reply = await paying
    finally:
        paying.cancel()
    demo.expect(reply, 201, "succeeded")
    await demo.expect_journal(key, "authorize", "capture", means="charged once")
    terminal.note(f"Both tries: {service.web_ui(key)}")


async def a_refused_recording(demo: Demo) -> None:
    key = demo.new_key("7-refused-recording")
    ledger = demo.service.ledger
    sales = ("sales", CLOSED_CURRENCY)
    demo.terminal.does(f"close the account `sales` for {CLOSED_CURRENCY} in the ledger: nothing can be posted to it")
    await ledger.execute("INSERT INTO accounts (name, currency) VALUES ($1, $2) ON CONFLICT DO NOTHING", *sales)
    try:
        await ledger.execute("UPDATE accounts SET closed_at = now() WHERE name = $1 AND currency = $2", *sales)
        reply = await demo.pay(key, amount=3000, currency=CLOSED_CURRENCY, payment_method="pm_card_visa")
    finally:
        await ledger.execute("UPDATE accounts SET closed_at = NULL WHERE name = $1 AND currency = $2", *sales)
    demo.expect(reply, 201, "failed")
    demo.terminal.check("it says why: recording_refused", ok="recording_refused" in reply.reason(), got=reply.reason())
    await demo.expect_journal(key, "authorize", "capture", "refund", means="charged, then given back")


async def a_refund_by_signal(demo: Demo) -> None:
    key = demo.payment_ids[0]
    service, terminal = demo.service, demo.terminal
    refund: dict[str, Any] = {"refund_id": f"demo-{demo.run}-return", "amount": 990}
    terminal.does(f"temporal workflow signal --workflow-id {key} --name request_refund --input '{json.dumps(refund)}'")
    for _ in range(2):
        await service.signal(key, "request_refund", refund)
    terminal.note("Sent twice, as support would by pressing the Web UI's button twice.")
    payment = await service.get(key)
    while payment.status == "succeeded":
        await asyncio.sleep(POLL_SECONDS)
        payment = await service.get(key)
    terminal.saw(payment.described())
    terminal.check("partially_refunded", ok=payment.status == "partially_refunded", got=payment.status)
    await demo.expect_journal(key, "authorize", "capture", "refund", means="refunded once")
    terminal.does(f"POST /v1/payments/{key}/refunds  EUR 49.90, of which EUR 9.90 is gone")
    reply = await service.refund(key, f"demo-{demo.run}-too-much", amount=4990)
    demo.expect(reply, 409, "refund_exceeds_refundable")
    await demo.expect_journal(key, "authorize", "capture", "refund", means="nothing more was refunded")


async def the_books(demo: Demo) -> None:
    demo.terminal.does("compare each payment's charges and refunds, by operation key and amount")
    books = await read_books(demo.service, demo.payment_ids)
    _show(demo.terminal, books)
    differences = books.differences()
    for difference in differences:
        demo.terminal.check("the processor's journal and the ledger agree", ok=False, got=difference)
    if not differences:
        demo.terminal.check("the processor's journal and the ledger agree on every payment", ok=True)
    unbalanced = books.unbalanced()
    demo.terminal.check("the balances of each currency add up to zero", ok=not unbalanced, got=unbalanced)


def _show(terminal: Terminal, books: Books) -> None:
    row = "      {:<32} {:<10} {:>10} {:>10} {:>12} {:>10}   {}".format
    terminal.line(row("", "", "processor:", "", "ledger:", "", "").rstrip())
    terminal.line(row("payment", "status", "charged", "refunded", "charged", "refunded", "agree"))
    for one in books.statements:
        moved = [total(moves, kind) for moves in (one.done, one.posted) for kind in ("capture", "refund")]
        shown = [money(sum_, one.currency) if sum_ else "-" for sum_ in moved]
        terminal.line(row(one.payment_id, one.status, *shown, "no" if one.differences() else "yes"))
    terminal.note("Balances of the whole ledger, debits above zero, credits below:")
    for currency, accounts in books.balances.items():
        balances = ", ".join(f"{account} {amount(balance, currency)}" for account, balance in accounts.items())
        terminal.note(f"{currency}  {balances}; sum {amount(sum(accounts.values()), currency)}")


Step = Callable[[Demo], Awaitable[None]]

STORY: Final[dict[str, Step]] = {
    "A payment": a_payment,
    f"{DUPLICATES} concurrent duplicates of one new payment": duplicates,
    "The same key with another amount": another_amount,
    "A decline": a_decline,
    "A reply that is lost after the money moved": a_lost_reply,
    "A worker killed in mid-charge": a_killed_worker,
    "A recording that can't succeed, and the refund it causes": a_refused_recording,
    "A refund by signal, sent twice": a_refund_by_signal,
    "The processor's journal against the ledger": the_books,
}
