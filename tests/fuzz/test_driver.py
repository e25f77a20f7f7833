"""The first rounds of tools/fuzz_driver.py: devices that fail, signals, and time that leaps, under the real-time driver."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support import shaky


@pytest.mark.parametrize("seed", range(6))
def test_rounds_of_the_drivers_fuzzer(seed):
    """All that is sent arrives, no stack stops, and no lock is kept."""
    assert shaky.play(seed) == [], f"tools/fuzz_driver.py --seed {seed} --rounds 1"


def test_a_suspended_process_goes_on_where_it_was():
    """SIGSTOP for longer than a retransmission timeout, in the middle of a transfer."""
    code = """
import sys
from tests.support import shaky
shaky.SIZE = 400_000
print("begin", flush=True)
print(shaky.play(3), flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begin\n"
        for _ in range(3):
            time.sleep(0.1)
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(0.4)
            os.kill(process.pid, signal.SIGCONT)
        try:
            out, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert out == "[]\n"
