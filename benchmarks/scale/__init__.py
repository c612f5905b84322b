"""Whether the cost of a payment stays the same: with many in the books, many still open, and many waiting."""
