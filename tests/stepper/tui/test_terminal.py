"""The real command on a real (pseudo) terminal of 80x24, and without one."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

COMMAND = [sys.executable, "-m", "pystack.cli", "step", "loss-fast-retransmit"]


def read_until(terminal, wanted, seconds=60):
    """What the command wrote, up to these words."""
    seen, end = b"", time.monotonic() + seconds
    while wanted not in seen:
        assert time.monotonic() < end, seen[-2000:]
        if select.select([terminal], [], [], 1)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # the command has ended
                break
    assert wanted in seen, seen[-2000:]
    return seen


def test_on_a_terminal():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(COMMAND, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    try:
        read_until(ours, b"Ladder")
        os.write(ours, b":goto frame 8\rF")  # all at once: nothing typed ahead gets lost
        read_until(ours, b"frame 7/")
        os.write(ours, b"q")
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    os.read(ours, 65536)
                except OSError:
                    break
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_without_a_terminal_one_line_says_so():
    done = subprocess.run(COMMAND, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "pystack step: the stepper needs a terminal; --text prints the same text\n"
