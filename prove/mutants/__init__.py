"""Bugs that are planted into copies of the service, to see that the campaign and its auditor can fail."""
