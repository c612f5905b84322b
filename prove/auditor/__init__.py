"""An independent auditor: the processor's journal, the ledger's rows and what clients were told, joined in SQL.

It imports nothing of ours and trusts no view, function or trigger of the service: every sum is made again from rows.
"""
