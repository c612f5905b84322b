"""The textbook: what one gets who follows Temporal's documentation."""
