"""`paysaga demo`: the promise, kept before your eyes on real parts."""

from paysaga.demo.telling import main

__all__ = ["main"]
