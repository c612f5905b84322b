"""Everything that can go wrong, and what of the fault matrix is not among it."""

from typing import Final

from prove.catalogue import Fault
from prove.faults import (
    bad_requests,
    clients,
    clocks,
    connections,
    database,
    lies,
    moments,
    operators,
    processes,
    processor,
    readers,
    signals,
    values,
    webhooks,
)
from prove.faults.left_out import LEFT_OUT

FAULTS: Final[tuple[Fault, ...]] = (
    *processes.FAULTS,
    *clocks.FAULTS,
    *connections.FAULTS,
    *moments.FAULTS,
    *operators.FAULTS,
    *database.FAULTS,
    *processor.FAULTS,
    *clients.FAULTS,
    *values.FAULTS,
    *bad_requests.FAULTS,
    *readers.FAULTS,
    *webhooks.FAULTS,
    *lies.FAULTS,
    *signals.FAULTS,
)

__all__ = ["FAULTS", "LEFT_OUT"]
