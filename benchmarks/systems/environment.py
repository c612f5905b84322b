"""What the programs of the benchmark are told: names of environment variables, and the word that they answer."""

from typing import Final

DATABASE_URL: Final = "DATABASE_URL"
PROCESSOR_URL: Final = "PROCESSOR_URL"
TEMPORAL_ADDRESS: Final = "TEMPORAL_ADDRESS"
PORT: Final = "PORT"

WORKER_READY: Final = "worker ready"
