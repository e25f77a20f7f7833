"""docs/howto/links.md: its programs run as they are printed, without root."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "howto" / "links.md").read_text(), re.S)


def start(program, folder):
    """Start a program of the page, without capabilities if the test runs as root."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-c", program]
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=-1, stderr=-1, text=True
    )


def end(process):
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return out


def test_two_stacks_in_one_process(tmp_path):
    assert end(start(PROGRAMS[0], tmp_path)) == "hello\n"


def test_two_processes(tmp_path):
    server = start(PROGRAMS[1], tmp_path)
    try:
        limit = time.monotonic() + 30
        while not (tmp_path / "cable").exists() and server.poll() is None and time.monotonic() < limit:
            time.sleep(0.02)
        client = start(PROGRAMS[2], tmp_path)
        assert end(client) == "hello 10.9.0.2\n"
    finally:
        left = end(server)
    assert left == "" and list(tmp_path.iterdir()) == []


def test_control_the_programs_have_no_right_to_make_a_tap(tmp_path):
    process = start("import pystack\npystack.up('x%d')", tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and ("needs CAP_NET_ADMIN" in err or "/dev/net/tun" in err)
