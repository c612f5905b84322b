"""Activities act: each calls a gateway, then the ledger, and may run any number of times with the same input."""
