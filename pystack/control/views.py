"""Views of a stack from outside: its tables as plain dicts and lists, which JSON can express.

Each view is a function of the Stack. Call it through `host.inspect`, so that nothing changes meanwhile.
"""

from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack._build import compiled as compiled_report
from pystack.iproute import table_name
from pystack.sockets.resolve import text
from pystack_c.filter.conntrack_tcp import STATES as TRACKED
from pystack_c.filter.flow import PROTOCOLS
from pystack_c.link import neighbor
from pystack_c.sockets.packets import SOCK_RAW, PacketSocket
from pystack_c.tcp.sockopt import tcp_info

STATES = {
    C.ESTABLISHED: "ESTAB",
    C.SYN_SENT: "SYN-SENT",
    C.SYN_RECEIVED: "SYN-RECV",
    C.FIN_WAIT_1: "FIN-WAIT-1",
    C.FIN_WAIT_2: "FIN-WAIT-2",
    C.TIME_WAIT: "TIME-WAIT",
    C.CLOSED: "UNCONN",
    C.CLOSE_WAIT: "CLOSE-WAIT",
    C.LAST_ACK: "LAST-ACK",
    C.LISTEN: "LISTEN",
    C.CLOSING: "CLOSING",
}
ROUTE_KINDS = {
    C.RT_UNICAST: "unicast",
    C.RT_UNREACHABLE: "unreachable",
    C.RT_PROHIBIT: "prohibit",
    C.RT_BLACKHOLE: "blackhole",
    C.RT_THROW: "throw",
}


def mac_text(mac: int) -> str:
    """Return a MAC address with colons."""
    return mac.to_bytes(6, "big").hex(":")


def sockets(stack: Any, info: bool = False) -> list[dict[str, Any]]:
    """Return every endpoint as `ss` shows it. With `info`, include TCP's own numbers (`ss -i`)."""
    return [_socket(stack, endpoint, info) for endpoint in stack.endpoints.values()]


def _socket(stack: Any, endpoint: Any, info: bool) -> dict[str, Any]:
    state = getattr(endpoint, "state", None)
    row: dict[str, Any] = {"id": endpoint.ident}
    if state is not None:
        row["netid"] = "tcp"
        row["state"] = STATES.get(state, str(state))
        row["recv_q"], row["send_q"] = tcp_queues(endpoint)
    else:
        row["netid"] = "raw" if hasattr(endpoint, "proto") else "udp"
        row["state"] = "ESTAB" if endpoint.raddr else "UNCONN"
        row["recv_q"], row["send_q"] = getattr(endpoint, "queued_bytes", 0), 0
    if row["netid"] == "raw":
        row["proto"] = endpoint.proto
        if isinstance(endpoint, PacketSocket):
            row["netid"] = "p_raw" if endpoint.kind == SOCK_RAW else "p_dgr"
    row["local"], row["lport"] = text(endpoint.laddr), endpoint.lport
    row["peer"], row["rport"] = text(endpoint.raddr), endpoint.rport
    row["timer"] = _next_timer(stack, endpoint)
    if info and state is not None and state != C.LISTEN:
        row["info"], row["congestion"] = tcp_info(endpoint, stack.now), endpoint.congestion
    return row


def tcp_queues(endpoint: Any) -> tuple[int, int]:
    """Return ss(8)'s Recv-Q and Send-Q: bytes not read and not acknowledged, or a listener's queue and backlog."""
    if endpoint.state == C.LISTEN:
        listener = endpoint.listener
        return len(getattr(listener, "accept_queue", ())), getattr(listener, "backlog", 0)
    return endpoint.recvbuf.used, endpoint.sendbuf.tail - endpoint.sendbuf.head


def _next_timer(stack: Any, endpoint: Any) -> dict[str, Any] | None:
    """Return the endpoint's earliest timer with its name and the remaining time in ms, or None."""
    best = None
    for name in ("rto_timer", "delack_timer", "wait_timer", "keep_timer"):
        timer = getattr(endpoint, name, None)
        if timer is not None and timer.armed() and (best is None or timer.deadline < best[1]):
            best = (name.removesuffix("_timer"), timer.deadline)
    return None if best is None else {"name": best[0], "ms": (best[1] - stack.now) // 1_000_000}


def neighbours(stack: Any) -> list[dict[str, Any]]:
    """Return the ARP tables, as `ip neigh` does."""
    rows = []
    for iface in stack.ifaces:
        for entry in iface.neighbors.values():
            state = neighbor.current_state(entry, stack.now)
            known = state & (C.NUD_INCOMPLETE | C.NUD_FAILED) == 0
            rows.append(
                {
                    "dst": text(entry.addr),
                    "dev": iface.name,
                    "lladdr": mac_text(entry.mac) if known else None,
                    "state": neighbor.STATE_NAMES.get(state, str(state)),
                    "waiting": len(entry.queue or ()),
                }
            )
    return rows


def conntrack(stack: Any) -> list[dict[str, Any]]:
    """Return the tracked connections, as `conntrack -L` does. Without connection tracking, there are none."""
    rows: list[dict[str, Any]] = []
    for entry in [] if stack.conntrack is None else stack.conntrack.all():
        proto = entry.original.proto
        row = {
            "proto": PROTOCOLS.get(proto, str(proto)),
            "timeout": max(0, entry.timer.deadline - stack.now) // 1_000_000_000,
            "state": None if entry.tcp is None else TRACKED[entry.tcp.state],
            "original": _half(entry.original),
            "reply": _half(entry.reply),
            "replied": bool(entry.status & C.IPS_SEEN_REPLY),
            "assured": bool(entry.status & C.IPS_ASSURED),
            "mark": entry.mark,
        }
        rows.append(row)
    return rows


def ruleset(stack: Any) -> list[dict[str, Any]]:
    """Return the packet filter, as `nft -j list ruleset` does."""
    rules = stack.nftables
    return [] if rules is None else rules.dump()


def _half(half: Any) -> dict[str, Any]:
    """Return one direction of a tracked connection."""
    row = {"src": text(half.src), "dst": text(half.dst)}
    if half.proto == C.IPPROTO_ICMP:
        row |= {"type": half.dport >> 8, "code": half.dport & 0xFF, "id": half.sport}
    elif half.proto in (C.IPPROTO_TCP, C.IPPROTO_UDP):
        row |= {"sport": half.sport, "dport": half.dport}
    return row | {"packets": half.packets, "bytes": half.octets}


def routes(stack: Any) -> list[dict[str, Any]]:
    """Return the main table of routes, longest prefix first, and then the other tables."""
    rows = [_route(route) for route in stack.routes.all()]
    for number in [] if stack.policy is None else sorted(stack.policy.tables):
        if number != C.RT_TABLE_MAIN:
            rows += [_route(route) for route in stack.policy.tables[number].all()]
    return rows


def _route(route: Any) -> dict[str, Any]:
    row = {
        "dst": "default" if route.prefixlen == 0 else f"{text(route.dst)}/{route.prefixlen}",
        "gateway": text(route.gateway) if route.gateway else None,
        "dev": None if route.iface is None else route.iface.name,
        "metric": route.metric,
        "src": text(route.src) if route.src else None,
        "type": ROUTE_KINDS.get(route.kind, str(route.kind)),
        "table": table_name(route.table),
    }
    if route.hops is not None:
        row["nexthops"] = [
            {"gateway": text(hop.gateway) if hop.gateway else None, "dev": hop.iface.name, "weight": hop.weight}
            for hop in route.hops
        ]
    return row


def addresses(stack: Any) -> list[dict[str, Any]]:
    """Return the interfaces and their addresses, as `ip addr` does."""
    kinds = {C.LINK_ETHERNET: "ether", C.LINK_IP: "none", C.LINK_LOOPBACK: "loopback"}
    rows = []
    for iface in stack.ifaces:
        rows.append(
            {
                "ifindex": iface.index,
                "ifname": iface.name,
                "link_type": kinds.get(iface.kind, str(iface.kind)),
                "address": mac_text(iface.mac),
                "mtu": iface.mtu,
                "up": bool(iface.up),
                "tx_csum": bool(iface.tx_csum),
                "gso_max": iface.gso_max,
                "rx_frames": iface.rx_frames,
                "rx_bytes": iface.rx_bytes,
                "tx_frames": iface.tx_frames,
                "tx_bytes": iface.tx_bytes,
                "addr_info": [{"local": text(own.addr), "prefixlen": own.prefixlen} for own in iface.addrs],
            }
        )
    return rows


def counters(stack: Any) -> dict[str, Any]:
    """Return all counters that are not zero, and the drops by reason."""
    return {"counters": stack.counters.nonzero(), "drops": dict(stack.counters.drops)}


def compiled(stack: Any) -> dict[str, bool]:
    """Return which core modules run compiled."""
    return compiled_report()


def status(stack: Any) -> dict[str, Any]:
    """Return the stack's name, its settings, and the numbers of its endpoints and timers."""
    return {
        "name": stack.name,
        "endpoints": len(stack.endpoints),
        "timers": len(stack.timers),
        "config": stack.config.as_dict(),
    }


VIEWS: dict[str, Callable[..., Any]] = {
    "sockets": sockets,
    "neighbours": neighbours,
    "conntrack": conntrack,
    "nft": ruleset,
    "routes": routes,
    "addresses": addresses,
    "counters": counters,
    "compiled": compiled,
    "status": status,
}
