"""CPU time and memory of process trees, with real processes."""

import subprocess
import sys

import psutil
import pytest

from benchmarks.usage import cpu_seconds, memory_mb

# Burns CPU in a child that ends, then in itself, then waits.
BURNS = """
import os, time
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
child = os.fork()
if not child:
    burn(0.3)
    os._exit(0)
os.waitpid(child, 0)
burn(0.2)
print("burnt", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what children that ended have used")
def test_the_cpu_of_a_child_that_ended_counts_once() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", BURNS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "burnt\n"
        used = cpu_seconds({"one": process.pid})
        process.kill()
    # Clock ticks of 10 ms, and some start-up.
    assert 0.45 <= used["one"] < 0.75


def test_a_child_that_lives_counts_with_its_parent() -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import os, time; os.fork(); print('ready', flush=True); time.sleep(60)",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        (child,) = psutil.Process(process.pid).children()
        both, of_child = memory_mb({"both": process.pid})["both"], memory_mb({"child": child.pid})["child"]
        child.kill()
        process.kill()
    assert 0 < of_child < both
