"""Whether a page of the history costs the same however many transactions there are and wherever it begins."""
