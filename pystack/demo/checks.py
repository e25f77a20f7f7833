"""Checks whether this process may create a namespace and a TAP device, and reports what is missing."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

#: command -> the Debian package that contains it
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
    """A requirement of the demo is missing; the text says which one, and how to get it."""


def check_commands() -> None:
    """Raise MissingRequirement if a command is not installed."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/bin:/bin"
    packages = sorted({package for name, package in COMMANDS.items() if shutil.which(name, path=path) is None})
    if packages:
        names = [name for name in COMMANDS if shutil.which(name, path=path) is None]
        raise MissingRequirement(
            f"these commands are missing: {', '.join(names)}\n"
            f"as root, run:  apt-get install -y --no-install-recommends {' '.join(packages)}"
        )


def check_tun() -> None:
    """Raise MissingRequirement if /dev/net/tun cannot be opened."""
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            how = "as root, run:  modprobe tun\n(in a container: pass the device to it, for example with docker run --device /dev/net/tun)"
            raise MissingRequirement(f"{TUN} does not exist, so TAP devices cannot be created\n{how}") from None
        if exc.errno in (errno.EACCES, errno.EPERM):
            how = f"as root, run:  chmod 666 {TUN}   (Debian's own default), or run the demo as root"
            raise MissingRequirement(f"this user may not open {TUN}, so TAP devices cannot be created\n{how}") from None
        raise


def may_unshare() -> bool:
    """True if this process may create a network namespace directly (root usually has CAP_SYS_ADMIN)."""
    probe = ["unshare", "-n", "true"]
    return subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, timeout=10).returncode == 0


def check_user_namespace() -> None:
    """Raise MissingRequirement if no unprivileged user namespace with a network namespace can be created."""
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
        f"the demo needs its own network namespace, and this process ({who}) may not create one: {reason}\n"
        f"{how}or run the demo as root (in a container: with --cap-add SYS_ADMIN --cap-add NET_ADMIN)"
    )


def ready(arguments: Sequence[str]) -> None:
    """Return if the demo can run in this process. Otherwise run it again inside a user namespace, or raise MissingRequirement.

    `arguments` are the arguments of `pystack` for the second case, in which the new program replaces this process.
    """
    check_commands()
    check_tun()
    if may_unshare():
        return
    if os.environ.get(INNER):
        raise MissingRequirement("the kernel refuses to create a network namespace, even inside a user namespace")
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
