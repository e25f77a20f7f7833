"""The calls that a recording may make: the application calls and the methods that set up a stack.

Recorder and replay share this list.

A recording names a call by a stable name, `group:function`, such as `tcp:connect`. So a module may move, and files made
before it moved can still be replayed. The recorder refuses a call that is missing here. tests/trace/test_calls.py
searches the sources for the calls that are made, and the core for those that can be made.
"""

import importlib
from collections.abc import Callable
from typing import Any

#: group -> the module that contains its calls today
MODULES = {
    "tcp": "pystack_c.tcp.user",
    "tcp.again": "pystack_c.tcp.again",
    "tcp.option": "pystack_c.tcp.sockopt",
    "tcp.info": "pystack_c.tcp.info",
    "tcp.errqueue": "pystack_c.tcp.queues.errqueue",
    "udp": "pystack_c.sockets.udp",
    "raw": "pystack_c.sockets.raw",
    "packets": "pystack_c.sockets.packets",
    "acd": "pystack_c.link.acd",
    "services": "pystack_c.services.serve",
    "queued": "pystack_c.ingress.queued",
}
#: group -> its application calls, which are functions that take the endpoint (or the stack) first and `now` last
CALLS = {
    "tcp": "tcp_open bind listen accept connect send recv skip at_mark unread connect_fastopen shutdown close abort",
    "tcp.again": "disconnect",
    "tcp.option": "setsockopt getsockopt",
    "tcp.info": "tcp_info",
    "tcp.errqueue": "take note end_send",
    "udp": "udp_open bind connect sendto sendmsg recvfrom shutdown close setsockopt getsockopt",
    "raw": "raw_open ping_open bind connect sendto sendmsg recvfrom shutdown close setsockopt getsockopt",
    "packets": "packet_open bind sendto recvfrom close setsockopt getsockopt",
    "acd": "start announce_twice",
    "services": "stream datagram stop",
    "queued": "listen take verdict",
}
#: recordings from before there were groups name a call by the former place of its module below `pystack_c.`
FORMER = {
    "tcp.user": "tcp",
    "tcp.sockopt": "tcp.option",
    "tcp.info": "tcp.info",
    "tcp.errqueue": "tcp.errqueue",
    "udp": "udp",
    "raw": "raw",
    "acd": "acd",
    "services.serve": "services",
}
#: methods of the stack that set it up
SETUP = frozenset(
    (
        "add_iface",
        "add_addr",
        "del_addr",
        "add_route",
        "del_route",
        "set_iface",
        "add_neighbor",
        "add_vlan",
        "add_mroute",
        "del_mroute",
        "igmp_proxy",
        "del_neighbor",
        "track",
        "add_nat",
        "nft",
        "add_service",
        "set_server",
        "del_server",
        "add_rule",
        "del_rule",
    )  # fmt: skip
)
_GROUPS = {module: group for group, module in MODULES.items()}


def name_of(fn: Callable[..., Any]) -> str:
    """Return the stable name of an application call, `group:function`.

    Raises ValueError if a recording could not replay it.
    """
    group = _GROUPS.get(fn.__module__, "")
    if fn.__name__ not in CALLS.get(group, "").split():
        raise ValueError(
            f"{fn.__module__}:{fn.__name__} is not an application call, so a recording of it could not be replayed"
        )
    return f"{group}:{fn.__name__}"


def find(name: str) -> Callable[..., Any] | None:
    """Return the application call with a stable or former name, or None if this core has no such call."""
    group, _, function = name.partition(":")
    if group.startswith("pystack_c."):
        group = FORMER.get(group.removeprefix("pystack_c."), "")
    if function not in CALLS.get(group, "").split():
        return None
    found: Callable[..., Any] | None = getattr(importlib.import_module(MODULES[group]), function, None)
    return found
