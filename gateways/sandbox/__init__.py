"""The sandbox processor's adapter. The processor itself is a program of its own (`python -m sandbox`)."""
