"""The ledger remembers: the permanent row of each payment, and the double-entry journal of the money that moved."""
