"""docs/reference/socket-options.md agrees with the code: what it lists exists, and everything else is ENOPROTOOPT."""

import errno
import re
import struct
from pathlib import Path

import pytest

from pystack import socket

pytestmark = pytest.mark.usefixtures("local")

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/socket-options.md").read_text()
LEVELS = {"SOL_SOCKET": 1, "IPPROTO_IP": 0, "IPPROTO_TCP": 6}
KINDS = {"TCP": (socket.SOCK_STREAM, 0), "UDP": (socket.SOCK_DGRAM, 0), "raw": (socket.SOCK_RAW, 254)}
GROUP, LOCAL = socket.inet_aton("239.1.2.3"), socket.inet_aton("127.0.0.1")
#: one of these is a value that an option takes, or refuses for a reason of its own
VALUES = (1, b"lo\0", bytes(8), bytes(16), GROUP + LOCAL, GROUP + LOCAL + LOCAL, struct.pack("@HP", 1, 8))


def table(level):
    """number -> (name, {kind: whether it exists})"""
    section = PAGE.split(f"## Level {level}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (yes|no) \| (yes|no) \| (yes|no) \|", section, re.M)
    return {
        int(number): (name, dict(zip(KINDS, (word == "yes" for word in words), strict=True)))
        for name, number, *words in rows
    }


def exists(kind, level, name):
    """Whether a socket of the kind has the option: a call succeeds, or fails for a reason that only a known option has."""
    with socket.socket(socket.AF_INET, *KINDS[kind]) as sock:
        if kind != "TCP":
            sock.setsockopt(0, socket.IP_ADD_MEMBERSHIP, GROUP + LOCAL)
        for call in (
            lambda: sock.getsockopt(level, name),
            *(lambda value=value: sock.setsockopt(level, name, value) for value in VALUES),
        ):
            try:
                call()
            except OSError as error:
                if error.errno in (errno.ENOPROTOOPT, errno.EINVAL):
                    continue
            return True
    return False


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_are_complete(level, kind):
    listed = table(level)
    assert len(listed) >= 20
    found = {number for number in range(130) if exists(kind, LEVELS[level], number)}
    assert found == {number for number, (_, kinds) in listed.items() if kinds[kind]}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_everything_else_is_refused(level, kind):
    listed = {number for number, (_, kinds) in table(level).items() if kinds[kind]}
    with socket.socket(socket.AF_INET, *KINDS[kind]) as sock:
        for number in set(range(130)) - listed:
            for call in (
                lambda number=number: sock.setsockopt(LEVELS[level], number, 1),
                lambda number=number: sock.getsockopt(LEVELS[level], number),
            ):
                with pytest.raises(OSError) as caught:
                    call()
                assert caught.value.errno == errno.ENOPROTOOPT, number


def test_the_names_are_in_the_module():
    for level in ("SOL_SOCKET", "IPPROTO_IP"):
        for number, (name, _) in table(level).items():
            if hasattr(socket, name):
                assert getattr(socket, name) == number, name
    for name in (
        "IP_PKTINFO",
        "IP_RECVERR",
        "IP_RECVTTL",
        "IP_ORIGDSTADDR",
        "IP_MULTICAST_ALL",
        "SO_TIMESTAMP",
        "SO_TIMESTAMPNS",
        "SO_ATTACH_FILTER",
    ):
        assert hasattr(socket, name)
