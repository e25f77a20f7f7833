"""The demo itself: real programs against the stack on a real TAP, and nothing left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystack._build import pure
from pystack.demo import checks
from tests.support.patience import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]
SIZE = "0.3" if pure() else "10"
COMMAND = [sys.executable, "-m", "pystack.cli", "demo", "--size", SIZE]


def possible() -> bool:
    try:
        checks.check_commands()
        checks.check_tun()
        return checks.may_unshare()
    except checks.MissingRequirement:
        return False


pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not possible(), reason="no root, /dev/net/tun, ping or curl here"),
]


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    return {**inherited, "PYTHONPATH": str(ROOT), **more}


def run(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *argv], env=environment(**environ), capture_output=True, text=True, timeout=100, cwd="/"
    )


def world(temporary: Path) -> tuple[str, ...]:
    """What a demo could leave behind: links, namespaces, temporary files, control sockets."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = sorted(line.split(": ")[1] for line in links.splitlines())
    spaces = sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []
    return *(name for name in names if "tap0" in name), *(s for s in spaces if "demo" in s), *os.listdir(temporary)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TMPDIR of the test's own, to see what is left in it."""
    with tempfile.TemporaryDirectory() as path:
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


def program(directory: Path, name: str, text: str) -> str:
    """A program of the test's own, found before the real one; returns the PATH."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def test_the_demo(temporary):
    before = world(temporary)
    done = run("--seed", "7", "--write", "/dev/null")
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    assert "All steps passed." in out and "seed 7" in out
    assert out.count("SHA-256 equal") == 4  # each transfer once where it ends, once in the summary
    assert "3 of 3 answered" in out
    assert "It answers." in out  # curl printed the page
    # Each kind of frame, with the stack's reason and the section that rules it
    for text in ("ARP, Reply 10.0.0.2 is-at", "ICMP echo reply", "Flags [S.]", "Flags [F.]", "[RFC 826]", "[RFC 9293"):
        assert text in out, text
    frames = [line for line in out.splitlines() if line[:10].strip().replace(".", "").isdigit()]
    explained = [line for line in frames if "  # " in line]
    assert len(frames) > 40 and len(explained) == len(frames)
    assert done.stderr == ""
    assert world(temporary) == before


def test_the_capture_is_whole(temporary):
    if shutil.which("tshark") is None:
        pytest.skip("no tshark")
    path = temporary / "demo.pcapng"
    done = run("--quiet", "--write", str(path), "--size", "0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    command = ["tshark", "-r", str(path), "-Y", "icmp || http", "-T", "fields", "-e", "frame.protocols"]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    assert seen.count("icmp") == 6 and "http" in seen
    comments = subprocess.run(
        ["tshark", "-r", str(path), "-T", "fields", "-e", "frame.comment"], capture_output=True, text=True, timeout=60
    )
    assert "RFC 9293" in comments.stdout


def test_without_offload(temporary):
    done = run("--no-offload", "--size", "0.5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "offload off" in done.stdout and "one piece for the device" not in done.stdout


def nobody_is_left(group: int) -> bool:
    """Whether a process group has no process, not even one that nobody has waited for yet."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("when", ["echo request", "bytes/"])
def test_ctrl_c_leaves_nothing_behind(temporary, when):
    before = world(temporary)
    # A session of its own: the signal goes to the whole foreground group there, as a terminal would send it.
    process = subprocess.Popen(
        [*COMMAND, "--size", "500"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        cwd="/",
    )
    assert process.stdout is not None
    seen = ""
    try:
        for line in process.stdout:
            seen += line
            if when in line:
                break
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        seen += process.stdout.read()
        status = process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    assert when in seen and "Traceback" not in seen, seen[-3000:]
    assert status == 128 + signal.SIGINT
    assert until(lambda: nobody_is_left(process.pid))
    assert world(temporary) == before


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("curl", 'for last; do :; done; "$REAL" "$@" | tr a b', "SHA-256 DIFFERS"),
        ("curl", "exit 7", "exit status 7"),
        ("ping", "echo '3 packets transmitted, 2 received'", "2 of 3 answered"),
        ("ping", "kill -9 $$", "killed by signal 9"),
    ],
)
def test_a_step_that_fails_is_told(tmp_path, temporary, name, text, told):
    real = shutil.which(name)
    assert real is not None
    done = run("--quiet", "--size", "0.1", PATH=program(tmp_path, name, text), REAL=real)
    assert done.returncode == 1, done.stdout + done.stderr
    assert told in done.stdout and "FAILED." in done.stdout and "All steps passed" not in done.stdout


def as_nobody(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script as a user without rights, in a mount namespace of its own; `$NODE` is the script's to make."""
    command = ["unshare", "-m", "sh", "-c", script]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=100, cwd="/")


DROP = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all env"


@pytest.fixture
def nobody() -> None:
    """Skips where root cannot become somebody else, or somebody else cannot run this Python and these sources."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become an ordinary user")
    check = f"{DROP} {sys.executable} -c 'import sys; sys.path.insert(0, \"{ROOT}\"); import pystack.cli.main'"
    if as_nobody(check).returncode != 0:
        pytest.skip("an ordinary user cannot read this Python or these sources")


def test_as_an_ordinary_user(nobody, temporary):
    mount = f"mknod {temporary}/tun c 10 200 && chmod 666 {temporary}/tun && mount --bind {temporary}/tun /dev/net/tun"
    clean = f"umount /dev/net/tun; rm {temporary}/tun"
    done = as_nobody(
        f"{mount} && {DROP} unshare -Urn true || exit 77; {DROP} {' '.join(COMMAND)}; s=$?; {clean}; exit $s"
    )
    if done.returncode == 77:
        pytest.skip("no device nodes, or no unprivileged user namespaces here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All steps passed." in done.stdout
    assert world(temporary) == ()


def test_an_ordinary_user_without_tun_is_told_how(nobody, temporary):
    mount = f"mknod {temporary}/tun c 10 200 && chmod 600 {temporary}/tun && mount --bind {temporary}/tun /dev/net/tun"
    done = as_nobody(f"{mount} || exit 77; {DROP} {' '.join(COMMAND)}; s=$?; rm {temporary}/tun; exit $s")
    if done.returncode == 77:
        pytest.skip("no device nodes here")
    assert done.returncode == 2 and "chmod 666 /dev/net/tun" in done.stderr and "Traceback" not in done.stderr
