"""The proof: payments under faults, and an auditor that believes only the processor and the database."""
