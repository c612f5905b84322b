"""Workflows decide. Nothing is imported here: each workflow's sandbox would load what this module pulls in."""
