"""Gateways speak to processors: one port, and one folder for each processor with the same file names in each."""
