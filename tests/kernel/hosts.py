"""Helpers for tests of kernel hosts: an ordinary user, files of networks, and a look at what is left behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
USER = f"import sys; sys.path.append({str(ROOT)!r}); sys.path += {[p for p in sys.path if 'site-packages' in p]!r}; "


def as_nobody(devices: bool = True) -> list[str] | None:
    """The beginning of a command that runs Python as an ordinary user, or None if that user can reach no interpreter and no source.

    Some machines let only root open /dev/net/tun. A user who needs devices is there a user namespace's user without privileges who has root's files.
    """
    if os.geteuid() != 0 or shutil.which("setpriv") is None or shutil.which("unshare") is None:
        return None
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if devices and (not os.path.exists("/dev/net/tun") or os.stat("/dev/net/tun").st_mode & 0o006 != 0o006):
        user = ["unshare", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
    for python in (sys.executable, "/usr/bin/python3"):
        words = [*user, python]
        look = f"import subprocess, sys; sys.path.append({str(ROOT)!r}); import pystack.kernel.space; "
        look += "subprocess.run([sys.executable, '-c', ''], check=True); sys.exit(sys.version_info < (3, 11))"
        try:
            done = subprocess.run([*words, "-c", look], capture_output=True, timeout=60, check=False, cwd="/")
        except OSError:
            continue
        if done.returncode == 0:
            return words
    return None


def pystack(*argv: object) -> list[str]:
    """A command line of pystack for this user."""
    return [sys.executable, "-m", "pystack.cli", *map(str, argv)]


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a command: sources from here, control sockets and temporary files in `home`."""
    home.mkdir(exist_ok=True, mode=0o700)
    return {**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(home), "TMPDIR": str(home), **more}


def processes(mark: str) -> list[int]:
    """The processes whose command line contains a text."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in line:
            found.append(int(name))
    return found


def fins(path: Path) -> int:
    """How many FINs are in a capture so far, which tcpdump still writes. On Ethernet, or of all interfaces at once."""
    data, at, count = path.read_bytes(), 24, 0
    link = {1: 14, 113: 16, 276: 20}[int.from_bytes(data[20:24], sys.byteorder)] if len(data) >= 24 else 0
    while at + 16 <= len(data):
        size = int.from_bytes(data[at + 8 : at + 12], sys.byteorder)
        frame = data[at + 16 : at + 16 + size]
        count += len(frame) == size and frame[link + (frame[link] & 15) * 4 + 13] & 1
        at += 16 + size
    return count
