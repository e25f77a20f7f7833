"""What a recording may do to a stack: the application calls and the methods that set it up. Recorder and replay share this list.

A call that is missing here is refused when it is recorded. (tests/trace/test_calls.py goes through the sources for the calls that are
made, and through the core for those that can be made.)
"""

import importlib
from collections.abc import Callable
from typing import Any

#: module -> its application calls: functions that take the endpoint (or the stack) first and `now` last
CALLS = {
    "pystack_c.tcp.user": (
        "tcp_open bind listen accept connect send recv skip at_mark unread connect_fastopen shutdown close abort"
    ),
    "pystack_c.tcp.again": "disconnect",
    "pystack_c.tcp.sockopt": "setsockopt getsockopt",
    "pystack_c.tcp.info": "tcp_info",
    "pystack_c.tcp.queues.errqueue": "take note end_send",
    "pystack_c.sockets.udp": "udp_open bind connect sendto recvfrom shutdown close setsockopt getsockopt",
    "pystack_c.sockets.raw": "raw_open ping_open bind connect sendto recvfrom shutdown close setsockopt getsockopt",
    "pystack_c.link.acd": "start announce_twice",
    "pystack_c.services.serve": "stream datagram stop",
}
#: methods of the stack
SETUP = frozenset(
    ("add_iface", "add_addr", "del_addr", "add_route", "del_route", "set_iface", "add_neighbor", "del_neighbor")
)


def is_call(module: str, function: str) -> bool:
    """Is this an application call?"""
    return function in CALLS.get(module, "").split()


def find(name: str) -> Callable[..., Any] | None:
    """The application call that a recording names `module:function`; None where this core has none of that name."""
    module, _, function = name.partition(":")
    if not is_call(module, function):
        return None
    found: Callable[..., Any] | None = getattr(importlib.import_module(module), function, None)
    return found
