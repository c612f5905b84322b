"""Handwritten: the same steps and durable writes without an engine."""
