"""Scenarios to step through, by name. Each is a short program in virtual time, and its docstring says what happens.

from pystack.stepper import scenarios

for name in scenarios.NAMES:
    print(name, scenarios.get(name).title)
"""

from pystack.stepper.scenarios import (
    balance,
    congestion,
    container,
    filtering,
    flow,
    link,
    loss,
    names,
    nat,
    opening,
    paths,
    post,
    queue,
    sessions,
)
from pystack.stepper.scenarios.base import SCENARIOS, Scenario

#: in an order that suits learners
ORDER = (
    "arp", "ping", "traceroute", "fragment", "routing", "udp", "handshake", "http-get", "simultaneous-open", "slow-start", "loss-fast-retransmit", "sack", "rto",
    "head-of-line", "zero-window", "nagle", "delayed-ack", "accept-queue", "syn-flood", "reset", "time-wait", "keep-alive", "pmtud", "pmtud-blackhole", "tfo", "firewall-reject-or-drop", "dhcp", "dns-recursion", "bufferbloat", "ecn", "bbr-vs-cubic", "load-balancer-l4", "load-balancer-l7",
    "docker-publish", "nat", "port-forward", "hairpin", "post",
)  # fmt: skip
NAMES = tuple(name for name in ORDER if name in SCENARIOS)


def known(name: str) -> bool:
    """Return True if there is a scenario of this name, or a variant of one, such as post:keep-alive."""
    return name in SCENARIOS


def get(name: str) -> Scenario:
    """Return a scenario by name. KeyError, with a list of the names, if there is none."""
    found = SCENARIOS.get(name)
    if found is None:
        raise KeyError(f"no scenario named {name!r}; there are {', '.join(NAMES)}")
    return found


__all__ = [
    "NAMES",
    "Scenario",
    "filtering",
    "balance",
    "congestion",
    "container",
    "flow",
    "get",
    "known",
    "link",
    "loss",
    "names",
    "nat",
    "opening",
    "paths",
    "post",
    "queue",
    "sessions",
]
