"""Everything that can go wrong, and what of the fault matrix is not among it."""

from typing import Final

from prove.catalogue import Fault
from prove.faults import connections, database, moments, operators, processes
from prove.result import LeftOut

FAULTS: Final[tuple[Fault, ...]] = (
    *processes.FAULTS,
    *connections.FAULTS,
    *moments.FAULTS,
    *operators.FAULTS,
    *database.FAULTS,
)
LEFT_OUT: Final[tuple[LeftOut, ...]] = ()
