"""The words of the trade: money, identifiers, requests, operations, states. Pure: no clock, no randomness, no I/O."""
