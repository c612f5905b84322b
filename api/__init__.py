"""HTTP: one router for each noun, errors as RFC 9457 problems."""
