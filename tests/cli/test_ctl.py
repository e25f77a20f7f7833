"""`pystack up --step`: scripted through `pystack ctl step`, and at the prompt of a terminal."""

import json
import os
import pty
import select
import signal
import subprocess
import time

import pytest

from tests.cli.test_up import PYSTACK, Lab, lab, pytestmark
from tests.support.patience import PATIENCE, until

__all__ = ["lab", "pytestmark"]
UP = ("-a", "10.0.0.2/24", "--kernel-address", "10.0.0.1/24", "--seed", "1", "--step")


def rtt(text: str) -> float:
    """What ping reports, in ms."""
    return float(text.split("time=")[1].split()[0])


def test_stepped_by_a_script(lab: Lab):
    with lab.up(*UP):
        refused = lab.pystack("ctl", "step", "n", "x")
        assert "n needs a number" in refused.stdout
        ping = subprocess.Popen(lab.command("ping", "-c", "1", "-W", "60", "10.0.0.2"), stdout=-1, text=True)
        # ARP request, its answer, then the echo request
        summary, limit = "", time.monotonic() + 30
        while "echo request" not in summary and time.monotonic() < limit:
            answer = json.loads(lab.pystack("ctl", "step", "-j", "p").stdout)
            summary = answer["held"]["summary"] if answer["held"] else ""
            if summary and "echo request" not in summary:
                lab.pystack("ctl", "step", "-w", "0")
        assert "echo request" in summary
        views = json.loads(lab.pystack("neigh", "-j").stdout)  # a view answers, though the stack is held
        assert views[0]["dst"] == "10.0.0.1"
        time.sleep(1)
        shown = lab.pystack("ctl", "step")
        assert shown.returncode == 0 and "echo reply" in shown.stdout and "RFC 1122 3.2.2.6" in shown.stdout
        assert lab.pystack("ctl", "step", "c", "-w", "0").returncode == 1  # nothing is held any more
        out, _ = ping.communicate(timeout=90)
        assert rtt(out) >= 1000
        # Control: it runs on. (A busy machine may hold any one of them up.)
        assert until(lambda: rtt(lab.run("ping", "-c", "1", "-W", "20", "10.0.0.2").stdout) < 1000)


def test_what_is_not_stepped_says_so(lab: Lab):
    with lab.up(*UP[:-1]):
        told = lab.pystack("ctl", "step")
        assert told.returncode == 1 and "was not started with --step" in told.stderr
    nobody = lab.pystack("ctl", "step", "--name", "nobody")
    assert nobody.returncode == 1 and "no stack named" in nobody.stderr and "Traceback" not in nobody.stderr


class Terminal:
    """A process at a terminal of its own."""

    def __init__(self, lab: Lab, *argv: str):
        self.end, theirs = pty.openpty()
        self.process = subprocess.Popen(
            lab.command(*argv), env=lab.env, stdin=theirs, stdout=theirs, stderr=theirs, cwd="/"
        )
        os.close(theirs)
        self.text = ""

    def until(self, words: str, seconds: float = PATIENCE) -> str:
        """Read until these words are there; what came since the last call."""
        limit = time.monotonic() + seconds
        while words not in self.text:
            left = limit - time.monotonic()
            if left <= 0 or not select.select([self.end], [], [], left)[0]:
                pytest.fail(f"no {words!r} in {self.text!r}")
            try:
                self.text += os.read(self.end, 65536).decode()
            except OSError:
                pytest.fail(f"it ended: {self.text!r}")
        at = self.text.index(words) + len(words)
        seen, self.text = self.text[:at], self.text[at:]
        return seen

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self.end, line.encode() + b"\n")


def test_the_prompt(lab: Lab):
    terminal = Terminal(lab, *PYSTACK, "up", *UP)
    try:
        terminal.until("b tcb.cwnd < 5000")
        ping = subprocess.Popen(lab.command("ping", "-c", "1", "-W", "60", "10.0.0.2"), stdout=-1, text=True)
        terminal.until("ARP, Request who-has 10.0.0.2")
        terminal.until("(step) ")
        terminal.type("b frame.length > ")
        terminal.until("^ not an expression")
        terminal.until("(step) ")
        terminal.type("b frame.length == 98")  # the echo request
        terminal.until("breakpoint 1: frame.length == 98")
        terminal.type("c")
        seen = terminal.until("breakpoint: frame.length == 98")
        assert "echo request" in seen and "ARP, Reply" in seen  # the frames that passed are listed
        terminal.until("(step) ")
        terminal.type("")
        terminal.until("an echo request for this host arrived")
        terminal.until("(step) ")
        terminal.type("")
        out, _ = ping.communicate(timeout=90)
        assert "1 received" in out
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()
        os.close(terminal.end)


def test_q_ends_the_stack(lab: Lab):
    terminal = Terminal(lab, *PYSTACK, "up", *UP)
    try:
        terminal.until("b tcb.cwnd < 5000")
        assert lab.pystack("ctl", "step", "q").returncode == 0
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()
        os.close(terminal.end)
