"""Scenarios of the packet filter."""

from collections.abc import Generator
from typing import Any

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import spawn, stream
from pystack.stepper.scenarios.base import finish, listener, scenario
from pystack.stepper.scenarios.link import chain


def _rules() -> list[dict[str, Any]]:
    """Return the ruleset: port 80 is open, port 81 is rejected, port 82 is dropped, and packets to it are traced."""

    def rule(port: int, *statements: dict[str, Any]) -> dict[str, Any]:
        match = {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": port}
        return {
            "rule": {"family": "ip", "table": "filter", "chain": "forward", "expr": [{"match": match}, *statements]}
        }

    base = {"type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}
    trace = {"mangle": {"key": {"meta": {"key": "nftrace"}}, "value": 1}}
    return [
        {"table": {"family": "ip", "name": "filter"}},
        {"chain": {"family": "ip", "table": "filter", "name": "forward", **base}},
        rule(80, {"accept": None}),
        rule(81, {"reject": {"type": "tcp reset"}}),
        rule(82, trace, {"log": {"prefix": "to port 82: "}}, {"drop": None}),
    ]


@scenario(
    "firewall-reject-or-drop",
    "A firewall that rejects, and one that drops",
    "Why does one client learn at once that it may not connect, and the other wait?",
    look=(
        'event.kind == "drop" and event.fields.name == "nft-reject"',
        'event.kind == "drop" and event.fields.name == "nft-drop"',
    ),
    mechanism="firewall",
)
def firewall(net: Network) -> None:
    """Host a connects to three ports of b. The router between them has a packet filter, whose rules accept port 80, reject port
    81 with a reset, and drop what goes to port 82. The first connection opens. The second ends after one round trip to the
    router, with "connection refused". The third gets no answer, so host a retransmits its SYN after 1 s, 3 s, 7 s, ..., and knows
    nothing. Each drop names the handle of the rule, and the events nft.trace show how the packet went through the rules.
    """
    nodes = chain(net, (1500, 1500))
    a, router, b = nodes
    router.nft(_rules())
    waiting = listener(b)

    def accept() -> Generator[Any, Any, None]:
        yield waiting.accept()

    def connect(port: int) -> Generator[Any, Any, str]:
        try:
            yield stream(a).connect("10.0.1.2", port)
        except OSError as exc:
            return type(exc).__name__
        return "connected"

    finish(net, spawn(net, accept()), spawn(net, connect(80)), spawn(net, connect(81)))
    net.run(net.now + 100 * MS)
    spawn(net, connect(82))
    net.run(net.now + 8 * S)
