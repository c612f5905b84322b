"""What of the fault matrix no campaign has, and why."""

from typing import Final

from prove.result import LeftOut

LEFT_OUT: Final = (
    LeftOut("F16, in part", "how long others wait meanwhile (p99): drawn in the report's timeline, not judged"),
    LeftOut("F17, in part", "names that can't be resolved, wrong certificates: the stack has loopback addresses and no"
            " TLS; for what fails before anything was sent, connections are refused"),
    LeftOut("F18, in part", "failover to a replica: the stack has one PostgreSQL, which is killed and comes back"),
    LeftOut("F23", "changed workflow code: recorded histories are replayed by tests/replay on every change"),
    LeftOut("F34", "disputes: paysaga has none yet"),
    LeftOut("F38, in part", "a case for each contradiction: an event is only a reason to ask the processor, so what it"
            " says is never compared with anything"),
    LeftOut("F39", "our own webhooks' receivers: tests/contract/test_webhook_sender.py and test_webhook_outbox.py"),
    LeftOut("F40, in part", "clocks of servers that aren't Python, and of the processor: a process can't set a"
            " machine's clock, and the processor's own times are what it is compared by"),
    LeftOut("F45, in part", "one merchant's access to another's payments: a paysaga has one merchant"),
    LeftOut("F48", "failover to another processor: there is one adapter, and no payment ever changes it"),
    LeftOut("F49", "a key older than the processor remembers: takes a day, or a setting that no production has;"
            " tests/faults/test_old_unknown_outcomes.py"),
    LeftOut("F50", "settlement files: tests/integration/test_reconcile_command.py plants every class"),
    LeftOut("F54", "a ledger that was restored from a backup older than the processor: tests/integration/"
            "test_reconciliation.py loses the rows of payments and reconciles"),
)  # fmt: skip
