"""tools/setup.sh says how far it is, and what went wrong. A small project stands for the real one, whose build takes minutes."""

import os
import pty
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "setup.sh"
TOOLS = ("ip", "ping", "curl", "unshare")
#: writes what Cython and the compiler write, and waits for a file before each step
SETUP = """
import pathlib, sys, sysconfig, time
def wait(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)
print("Compiling pystack_c/one.py because it changed.")
print("[1/2] Cythonizing pystack_c/one.py")
pathlib.Path("pystack_c/one.c").touch()
wait("translated")
print("[2/2] Cythonizing pystack_c/two.py")
pathlib.Path("pystack_c/two.c").touch()
suffix = sysconfig.get_config_var("EXT_SUFFIX")
pathlib.Path("build/one.o").touch()
wait("compiled")
if pathlib.Path("broken").exists():
    sys.exit("pystack_c/two.c: error: this does not compile")
for name in ("one", "two"):
    pathlib.Path("pystack_c", name + suffix).touch()
"""


@pytest.fixture
def project(tmp_path):
    """A project of two modules with an environment whose pip installs nothing."""
    if missing := [name for name in TOOLS if shutil.which(name) is None]:
        pytest.skip(f"{' '.join(missing)}: not installed (tools/setup.sh test)")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no headers of Python")
    (tmp_path / "tools").mkdir()
    shutil.copy(SCRIPT, tmp_path / "tools")
    (tmp_path / "setup.py").write_text(SETUP)
    (tmp_path / "pyproject.toml").touch()
    for name in ("one", "two"):
        (tmp_path / "pystack_c").mkdir(exist_ok=True)
        for suffix in (".py", ".pxd"):
            (tmp_path / "pystack_c" / f"{name}{suffix}").touch()
    # a C file of a lab is no module
    (tmp_path / "pystack").mkdir()
    (tmp_path / "pystack" / "starter.c").touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, line in (("python", f'exec "{sys.executable}" "$@"'), ("pip", "exit 0")):
        program = tmp_path / ".venv" / "bin" / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    return tmp_path


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "VENV", "PYTHON")}
    return {**kept, **more}


def until(terminal, words):
    """What the terminal shows until these words are there."""
    shown = b""
    while words not in shown:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # the script has ended
            more = b""
        assert more, shown
        shown += more
    return shown.decode()


def started(project):
    """The script on a terminal: the process, and the terminal's other end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["tools/setup.sh", "demo"], cwd=project, env=environment(CI="true"), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    return process, ours


def test_a_terminal_shows_how_far_the_build_is(project):
    process, terminal = started(project)
    try:
        shown = until(terminal, b"module 1 of 2 translated into C")
        assert "installing Python packages" in shown and "compiling the core" in shown
        (project / "translated").touch()
        shown = until(terminal, b"1 of 2 modules compiled")
        (project / "compiled").touch()
        assert process.wait(PATIENCE) == 0
        assert until(terminal, b"\r\x1b[K").endswith("\r\x1b[K")  # the line is gone
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    # the second time there is nothing to do, and nothing is said
    again = subprocess.run(["tools/setup.sh", "demo"], cwd=project, env=environment(), capture_output=True, text=True)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_failed_build_shows_its_output(project):
    process, terminal = started(project)
    try:
        until(terminal, b"module 1 of 2")
        for name in ("broken", "translated", "compiled"):
            (project / name).touch()
        shown = until(terminal, b"the whole log is in")
        assert "two.c: error: this does not compile" in shown
        assert process.wait(PATIENCE) == 2
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def test_a_log_of_ci_has_one_line_for_each_part(project):
    for name in ("translated", "compiled"):
        (project / name).touch()
    command = ["tools/setup.sh", "demo"]
    done = subprocess.run(
        command, cwd=project, env=environment(CI="true"), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0
    assert [line.split(" (")[0] for line in done.stderr.splitlines()] == [
        "setup: installing Python packages",
        "setup: compiling the core",
    ]


def test_without_a_terminal_there_is_a_line_now_and_then(project):
    """The watcher alone, with a clock that is set on: half a minute later it says one line."""
    script = SCRIPT.read_text().split("# --- Debian packages")[0]
    (project / "watch.sh").write_text(
        script.replace('cd "$(dirname "$0")/.."', "") + "\nsleep() { [ -e end ] && exit; SECONDS=$((SECONDS + 20)); }\n"
        'count() { printf "%s" "3 of 9, "; [ $SECONDS -lt 70 ] || touch end; }\nwatch count\n'
    )
    done = subprocess.run(
        ["bash", "watch.sh"], cwd=project, env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )
    # a slow machine may add some seconds to the clock
    assert re.fullmatch(r"setup: \.\.\. 3 of 9, 4\d s\nsetup: \.\.\. 3 of 9, [89]\d s\n", done.stderr), done.stderr
