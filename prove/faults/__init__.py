"""Everything that can go wrong."""
