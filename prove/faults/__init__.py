"""Everything that can go wrong, and what of the fault matrix is not among it."""

from typing import Final

from prove.catalogue import Fault
from prove.faults import (
    bad_requests,
    clients,
    connections,
    database,
    moments,
    operators,
    processes,
    processor,
)
from prove.result import LeftOut

FAULTS: Final[tuple[Fault, ...]] = (
    *processes.FAULTS,
    *connections.FAULTS,
    *moments.FAULTS,
    *operators.FAULTS,
    *database.FAULTS,
    *processor.FAULTS,
    *clients.FAULTS,
    *bad_requests.FAULTS,
)
LEFT_OUT: Final[tuple[LeftOut, ...]] = ()
