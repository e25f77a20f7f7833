"""None, or anything else, where an object of the core is due: TypeError, compiled; never a crash.

(The compiled core does not look before it follows a reference: what Python passes in is looked at once, at the door.)
"""

import subprocess
import sys
from pathlib import Path

import pytest

import pystack
from pystack_c.sockets import raw, udp
from pystack_c.stack import Stack
from pystack_c.tcp import sockopt, user
from pystack_c.tcp.tcb import Tcb

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not any(pystack.compiled().values()), reason="uncompiled, nothing can crash")
@pytest.mark.parametrize(
    ("package", "pattern", "least"),
    [
        ("pystack_c", "*.pxd", 150),
        ("pystack_c", "*/*.pxd", 1200),
        ("pystack_c", "*/*/*.pxd", 600),
        ("pystack", "*/*.pxd", 120),
    ],
)
def test_every_declared_function_refuses_it(package, pattern, least):
    command = [sys.executable, "-m", "tests.support.nothings", package, pattern]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"ended by {done.returncode} at {done.stderr.splitlines()[-1:]}"
    *taken, count = done.stdout.splitlines()
    assert taken == [] and int(count) >= least


def api():
    """What a program calls, with arguments that are right but for the first."""
    for name, args in {
        "bind": (0, 80, 0), "listen": (1, 0), "accept": (0,), "connect": (1, 80, 0), "send": (b"x", 0, 0), "recv": (1, 0, 0),
        "skip": (1, 0), "at_mark": (0,), "connect_fastopen": (b"x", 1, 80, 0), "shutdown": (1, 0), "close": (0,),
        "abort": (0,), "tcp_open": (0,),
    }.items():  # fmt: skip
        yield getattr(user, name), args
    for module, opener in ((udp, udp.udp_open), (raw, raw.raw_open)):
        yield opener, (0,) if module is udp else (89, 0)
        for name, args in {
            "bind": (0, 80, 0), "connect": (1, 80, 0), "sendto": (b"x", 1, 80, 0, 0), "recvfrom": (0, 0),
            "sendmsg": (b"x", 1, 80, 0, (None,) * 5, 0),
            "shutdown": (1, 0), "close": (0,), "setsockopt": (0, 1, 1, 0), "getsockopt": (0, 1, 0),
        }.items():  # fmt: skip
            yield getattr(module, name), args
    yield sockopt.setsockopt, (6, 1, 1, 0)
    yield sockopt.getsockopt, (6, 1, 0)


@pytest.mark.parametrize("wrong", [None, 7, "text"], ids=repr)
def test_the_calls_of_an_application(wrong):
    for call, args in api():
        with pytest.raises((TypeError, AttributeError)):
            call(wrong, *args)


def test_control_what_is_right_is_taken():
    stack = Stack(1, None, "host")
    tcb = user.tcp_open(stack, 0)
    user.bind(tcb, 0, 80, 0)
    sockopt.setsockopt(tcb, 6, 1, 1, 0)
    user.close(tcb, 0)
    ep = udp.udp_open(stack, 0)
    udp.close(ep, 0)
    raw.close(raw.raw_open(stack, 89, 0), 0)


@pytest.mark.parametrize("make", [Tcb, udp.UdpSocket, lambda core, ident: raw.RawSocket(core, ident, 1)])
def test_no_endpoint_without_a_core(make):
    with pytest.raises((TypeError, AttributeError)):
        make(None, 1)
