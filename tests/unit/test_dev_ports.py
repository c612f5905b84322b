"""Free ports, also when several of us look for them at once."""

import random
import subprocess
import sys

import pytest

from paysaga.dev.ports import free_ports

_ANOTHER = """
import random
random.seed(7)
from paysaga.dev.ports import free_ports
print(*free_ports(3))
"""


def test_two_processes_that_look_for_ports_at_once_find_different_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paysaga.dev.ports.random", random.Random(7))
    ours = free_ports(3)
    another = subprocess.run([sys.executable, "-c", _ANOTHER], capture_output=True, text=True, check=True)
    theirs = [int(port) for port in another.stdout.split()]
    assert len(theirs) == 3
    assert not set(theirs) & set(ours)
