"""The files that a test leaves: a recording, a capture and a page of the stepper, and a plan that replays it."""

import errno
import hashlib
import os
import re
from typing import Any

from pystack.pytest_plugin.plan import Plan, dump

#: characters of a file's name at most, without its ending
LONGEST = 100


def directory(config: Any) -> str:
    """The folder for files: that of --pystack-record, or one in pytest's cache."""
    chosen = config.getoption("pystack_record")
    if chosen:
        return os.path.join(config.invocation_params.dir, chosen)
    cache = getattr(config, "cache", None)
    if cache is not None:
        return str(cache.mkdir("pystack"))
    return os.path.join(config.rootpath, ".pystack")


def check_directory(config: Any) -> None:
    """Make the folder of --pystack-record. UsageError if that is not possible."""
    import pytest

    folder = directory(config)
    try:
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise pytest.UsageError(f"--pystack-record={config.getoption('pystack_record')}: {error.strerror}") from None


def stem(nodeid: str) -> str:
    """The name, without an ending, of a test's files below the folder. Different tests have different names."""
    path, _, rest = nodeid.partition("::")
    folders = [part if part != ".." else "_" for part in path.removesuffix(".py").split("/")]
    name = rest.replace("::", ".").replace("[", "-").removesuffix("]")
    clean = re.sub(r"[^\w.=+-]", "-", name)
    if clean != name or len(name) > LONGEST:
        clean = f"{clean[:LONGEST]}-{hashlib.blake2b(nodeid.encode(), digest_size=3).hexdigest()}"
    return os.path.join(*folders, clean)


def write_plan(path: str, plan: Plan, nodeid: str) -> None:
    """Write the file that replays a test."""
    with open(path + ".new", "wb") as file:
        file.write(dump(plan, nodeid).encode())
    os.replace(path + ".new", path)


def write_capture(recording: str, path: str) -> None:
    """Make a capture of a recording, with the names of the hosts, and the decisions of the stacks as comments."""
    from pystack.trace import hosts

    hosts.write_capture(recording, path)


def write_page(recording: str, path: str) -> None:
    """Make a page of the stepper from a recording. ImportError: the packages of the extra `web` are missing."""
    from pystack.stepper.export import export
    from pystack.stepper.timeline import Timeline

    export(Timeline.load(recording, trusted=True), path)
