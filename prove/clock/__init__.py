"""A folder for the PYTHONPATH of a process whose clock is to be wrong."""
