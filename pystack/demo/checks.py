"""May this process make a namespace and a TAP? If not, can it after all, and what is missing?"""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

#: command -> the Debian package it is in
COMMANDS = {
    "ping": "iputils-ping",
    "curl": "curl",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
#: set for the process that runs inside a user namespace of its own
INNER = "PYSTACK_DEMO_INNER"
TUN = "/dev/net/tun"


class MissingRequirement(Exception):
    """Something the demo needs is not there; the text says what, and how to get it."""


def check_commands() -> None:
    """All commands are installed, or MissingRequirement."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/bin:/bin"
    packages = sorted({package for name, package in COMMANDS.items() if shutil.which(name, path=path) is None})
    if packages:
        names = [name for name in COMMANDS if shutil.which(name, path=path) is None]
        raise MissingRequirement(
            f"these commands are missing: {', '.join(names)}\n"
            f"as root, run:  apt-get install -y --no-install-recommends {' '.join(packages)}"
        )


def check_tun() -> None:
    """/dev/net/tun can be opened, or MissingRequirement."""
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            how = "as root, run:  modprobe tun\n(in a container: give it the device, such as docker run --device /dev/net/tun)"
            raise MissingRequirement(f"there is no {TUN}, the door to TAP devices\n{how}") from None
        if exc.errno in (errno.EACCES, errno.EPERM):
            how = f"as root, run:  chmod 666 {TUN}   (Debian's own default), or run the demo as root"
            raise MissingRequirement(f"this user may not open {TUN}, the door to TAP devices\n{how}") from None
        raise


def may_unshare() -> bool:
    """True where this process may make a network namespace as it is (root has CAP_SYS_ADMIN as a rule)."""
    probe = ["unshare", "-n", "true"]
    return subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, timeout=10).returncode == 0


def check_user_namespace() -> None:
    """An unprivileged user namespace with a network namespace in it can be made, or MissingRequirement."""
    probe = subprocess.run(
        ["unshare", "-Urn", "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10
    )
    if probe.returncode == 0:
        return
    reason = (probe.stderr.strip().splitlines() or ["unshare failed"])[-1]
    who = "root without CAP_SYS_ADMIN (in a container?)" if os.geteuid() == 0 else "an ordinary user"
    knobs = {
        "/proc/sys/user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=15000"),
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
    fixes = [fix for path, (bad, fix) in knobs.items() if _read(path) == bad]
    how = "".join(f"as root, run:  {fix}\n" for fix in fixes)
    raise MissingRequirement(
        f"a network namespace of its own is needed, and this process ({who}) may not make one: {reason}\n"
        f"{how}or run the demo as root (in a container: with --cap-add SYS_ADMIN --cap-add NET_ADMIN)"
    )


def ready(arguments: Sequence[str]) -> None:
    """Return where the demo can run in this process; else run it again inside a user namespace, or raise MissingRequirement.

    `arguments` are those of `pystack`, for the second case; that one replaces this process.
    """
    check_commands()
    check_tun()
    if may_unshare():
        return
    if os.environ.get(INNER):
        raise MissingRequirement("even inside a user namespace, making a network namespace is refused")
    check_user_namespace()
    sys.stdout.flush()
    sys.stderr.flush()
    command = ["unshare", "--user", "--map-root-user", "--", sys.executable, "-m", "pystack.cli", *arguments]
    os.execvpe(command[0], command, {**os.environ, INNER: "1"})


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
