"""The core's only hook: it reports every decision as a typed event with the rule that applied.

With `probe = None`, a decision costs one comparison. With a probe, the core passes an `Event` for each decision to
`probe.event(event)`. `KINDS` is the list of kinds, and the documentation page is generated from it.
"""

from typing import Any

import pystack_c.const as C


class Event:
    """One decision of the core.

    kind    a key of KINDS
    time    nanoseconds, as the driver passed them
    host    the stack's name
    subject what it is about: a short text such as "tcp 10.0.0.2:80-10.0.0.1:40000", "eth0", "arp 10.0.0.1"
    endpoint id of the endpoint it is about, or 0
    reason  why it happened, in words that a learner understands
    rfc     the section that requires or allows it, such as "RFC 6298 2.2", or ""
    fields  the values named by KINDS[kind]
    before, after   snapshots of the TCB (dicts): always with tcp.state, and with every event about an endpoint if the
            probe asks for them (`snapshots`). `after` is taken right after the decision. `before` is the `after` of the
            endpoint's previous event, so no change is missed between two events
    """

    __slots__ = ("kind", "time", "host", "subject", "endpoint", "reason", "rfc", "fields", "before", "after")

    def __init__(
        self,
        kind: str,
        time: int,
        host: str,
        subject: str,
        endpoint: int,
        reason: str,
        rfc: str,
        fields: dict[str, Any],
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.time = time
        self.host = host
        self.subject = subject
        self.endpoint = endpoint
        self.reason = reason
        self.rfc = rfc
        self.fields = fields
        self.before = before
        self.after = after

    def __repr__(self) -> str:
        return (
            f"<{self.time / 1e9:.9f} {self.host} {self.kind} {self.subject}: {self.reason} [{self.rfc}] {self.fields}>"
        )


class Probe:
    """The base class of event consumers: subclass it and override `event`.

    If `snapshots` is true, events have before and after.
    """

    snapshots = False

    def event(self, event: Event) -> None:
        """Receive one decision from inside the core.

        The probe may read state, but must not call back into the stack.
        """
        raise NotImplementedError


class ListProbe(Probe):
    """A probe that keeps all events in a list."""

    def __init__(self, snapshots: bool = False) -> None:
        self.events: list[Event] = []
        self.snapshots = snapshots

    def event(self, event: Event) -> None:
        """Append the event to the list."""
        self.events.append(event)


# kind of timer -> (its name in events, why it expires, the section that requires it)
TIMERS: dict[int, tuple[str, str, str]] = {
    C.TIMER_RTO: ("retransmission", "no acknowledgement arrived in time", "RFC 6298 5.4"),
    C.TIMER_TLP: ("loss-probe", "no acknowledgement came yet, so the last segments may be lost", "RFC 8985 7.3"),
    C.TIMER_REORDER: ("reordering", "the missing segments had enough time to arrive late", "RFC 8985 6.2"),
    C.TIMER_PERSIST: ("persist", "the peer's window is still closed, so a probe is due", "RFC 9293 3.8.6.1"),
    C.TIMER_KEEPALIVE: ("keep-alive", "nothing arrived from the peer for a long time", "RFC 9293 3.8.4"),
    C.TIMER_DELACK: ("delayed-ack", "an acknowledgement must not be delayed any longer", "RFC 9293 3.8.6.3"),
    C.TIMER_FIN_WAIT_2: ("fin-wait-2", "the peer did not close its side in time", "Linux tcp_fin_timeout"),
    C.TIMER_TIME_WAIT: ("time-wait", "2 MSL have passed", "RFC 9293 3.6.1"),
    C.TIMER_PACE: ("pacing", "pacing allows the next segment", "draft-ietf-ccwg-bbr 5.6.2"),
    C.T_NEIGH: ("arp", "no answer arrived, or nothing confirmed the neighbour, in time", "RFC 1122 2.3.2.1"),
    C.T_REASM: ("reassembly", "not all fragments arrived in time", "RFC 1122 3.3.2"),
    C.T_ACD: ("address-probe", "the next probe or announcement is due", "RFC 5227 2.1.1"),
    C.T_IGMP_CHANGE: ("group-report", "the report of a change is repeated", "RFC 3376 5.1"),
    C.T_IGMP_ANSWER: ("group-answer", "the answer to a router's query is due", "RFC 3376 5.2"),
    C.T_IGMP_QUERY: ("group-query", "the next general query is due, or the other querier is silent", "RFC 3376 6.6.2"),
    C.T_IGMP_MEMBERS: ("group-members", "a membership expires, or a query about a group is repeated", "RFC 3376 6.2"),
    C.T_CONNTRACK: ("conntrack", "no packet of the connection passed for the time of its state", "Linux nf_conntrack"),
    C.T_SERVICE: ("service", "a time limit of a service's client is reached", "docs/reference/limits.md"),
}
TIMER_NAMES = {kind: name for kind, (name, _, _) in TIMERS.items()}

# kind -> (fields, what the event means)
KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "frame.in": (
        ("iface", "frame"),
        "a frame arrived; it causes all events up to the next frame.in, frame.out or timer.fired",
    ),
    "frame.out": (("iface", "frame", "gso_size"), "a frame is sent; the events just before it say why"),
    "drop": (
        ("name",),
        "a frame, packet or segment was dropped, or a service ended a connection; `name` is its counter in `drops`",
    ),
    "timer.set": (("timer", "deadline"), "a timer was set or moved; TIMERS lists the names"),
    "timer.fired": (("timer",), "a timer expired"),
    "timer.cancelled": (("timer",), "a timer was cancelled"),
    "call": (("name", "args", "result"), "the application called the stack; `result` is filled in when it returns"),
    "return": (("name", "result"), "the call returned, or raised an exception"),
    "arp.state": (("addr", "old", "new"), "a neighbour entry changed its state (RFC 4861 names)"),
    "arp.send": (("op", "addr"), "an ARP request, reply, probe or announcement is sent"),
    "arp.in": (("op", "addr", "target"), "an ARP packet was accepted for processing"),
    "arp.queued": (("addr", "length"), "a packet waits for the neighbour's MAC address"),
    "route": (
        ("dst", "gateway", "iface", "prefixlen"),
        "a route was chosen; prefixlen -1 means no route of the table (this host, a group), or no route at all if iface is empty",
    ),
    "route.redirect": (
        ("dst", "old", "new"),
        "a redirect was accepted, so another first hop is used for a destination",
    ),
    "igmp.in": (("type", "group"), "an IGMP message arrived from a router or another host"),
    "igmp.out": (("type", "group"), "an IGMP message is sent; `group` is its destination"),
    "igmp.querier": (("querier", "address"), "a router became the querier of a link, or another router is it now"),
    "igmp.members": (
        ("group", "exclude", "sources"),
        "what the hosts of a link want of a group changed, as far as a router knows",
    ),
    "ip.mforward": (("ttl", "ifaces"), "a multicast is forwarded to these interfaces"),
    "ip.in": (("proto", "length", "ttl"), "a packet was accepted for this host"),
    "ip.mtu": (("dst", "old", "new"), "the path MTU to a destination changed"),
    "ip.fragment": (("ident", "count"), "a datagram was fragmented"),
    "ip.held": (("ident", "offset", "length"), "a fragment waits for the other fragments of its datagram"),
    "ip.reassembled": (("ident", "length"), "the last missing fragment arrived"),
    "ip.forward": (("ttl", "iface"), "a packet is forwarded"),
    "ip.source_route": (
        ("hop", "left"),
        "a source route was followed to `hop`, or reversed for the answers; `left` hops remain after it",
    ),
    "ip.mss": (("old", "new"), "the MSS that a forwarded SYN announces was lowered"),
    "ct.new": (("proto", "src", "sport", "dst", "dport"), "connection tracking added a connection to its table"),
    "ct.update": (("what", "old", "new"), "a tracked connection changed: its TCP state, or its status"),
    "ct.destroy": (("count",), "connection tracking removed a connection; `count` connections remain"),
    "ct.invalid": (("proto", "length"), "connection tracking could not assign a packet to a connection"),
    "nat.bind": (
        ("kind", "addr", "port"),
        "the translation of a connection was chosen: `kind` (snat, dnat) and the new address and port",
    ),
    "nat.packet": (
        ("what", "old", "old_port", "new", "new_port"),
        "the address or port of a packet was translated; `what` is source or destination",
    ),
    "nft.trace": (
        ("table", "chain", "handle", "verdict", "mark"),
        "a rule matched a packet that is traced (meta nftrace set 1); handle 0 is the policy, or the end of a chain",
    ),
    "nft.log": (("prefix", "place", "length", "mark"), "a rule of the packet filter logged a packet"),
    "nft.queue": (
        ("number", "ident", "place", "length"),
        "a rule of the packet filter gave a packet to the application, which decides about it",
    ),
    "nft.load": (("tables", "chains", "rules"), "a ruleset of the packet filter was loaded"),
    "balance.choose": (
        ("client", "server", "by", "active"),
        "a load balancer chose a server for a new connection; `active` is the number of its open connections before",
    ),
    "balance.direct": (("server", "client"), "a packet goes to a server with its addresses unchanged (direct return)"),
    "icmp.in": (("type", "code"), "an ICMP message was accepted"),
    "icmp.out": (("type", "code"), "an ICMP message is sent"),
    "icmp.error": (("error",), "the socket whose packet an ICMP error quotes received the error as this errno"),
    "udp.in": (("length",), "a datagram was put into a socket's queue"),
    "udp.out": (("length",), "a datagram is sent"),
    "raw.in": (("length",), "a raw, ping or packet socket got a copy of a packet"),
    "tcp.in": (("seq", "ack", "flags", "length", "window"), "a segment was accepted for processing"),
    "tcp.out": (("seq", "ack", "flags", "length", "window"), "a segment is sent, and why"),
    "tcp.state": (("old", "new"), "the connection changed its state"),
    "tcp.data": (("seq", "length"), "data arrived in order, so RCV.NXT advanced by `length` from `seq`"),
    "tcp.acked": (("seq", "length"), "SND.UNA advanced to `seq`, which acknowledges `length` bytes of data"),
    "tcp.fin": (("seq", "length"), "the peer's FIN arrived in order, so RCV.NXT advanced past it"),
    "tcp.urgent": (("seq", "length"), "the peer's urgent pointer moved to `seq`"),
    "tcp.rtt": (("sample", "srtt", "rttvar", "rto"), "a round-trip time was measured"),
    "tcp.rto": (("old", "new"), "the retransmission timeout changed without a new RTT sample (backoff)"),
    "tcp.cwnd": (("old", "new", "ssthresh"), "the congestion window changed"),
    "tcp.retransmit": (("seq", "length"), "a segment was chosen for retransmission"),
    "tcp.lost": (("seq", "length"), "a segment was marked lost"),
    "tcp.recovery": (("phase", "recover"), "loss recovery was entered or left"),
    "tcp.sack": (("blocks",), "SACK blocks changed the scoreboard"),
    "tcp.dsack": (("seq", "length"), "the peer reports that it received this data twice"),
    "tcp.reordering": (("seq", "length"), "RACK saw that the path reorders"),
    "tcp.mss": (("old", "new"), "the size of our segments changed"),
    "tcp.mtu": (
        ("action", "size"),
        "our own search for the path MTU took a step: search (where it begins), probe, success, failed, inconclusive, again",
    ),
    "tcp.ecn": (
        ("action",),
        "ECN took a step: agreed, refused, disabled, echo (a mark arrived), quiet (the sender reacted), react (we reacted)",
    ),
    "tcp.fastopen": (
        ("action",),
        "Fast Open took a step: asked, shown, cookie, accepted, refused, kept, worked, failed",
    ),
    "tcp.window": (("old", "new"), "the peer's window changed"),
    "tcp.ack": (("action",), "an acknowledgement was delayed, or is sent at once"),
    "tcp.hold": (
        ("length", "by", "data"),
        "the sender held back data, new or lost; `by` names all conditions: window, zero-window, cwnd, cork, silly-window, nagle, pacing, group, mtu-probe, route",
    ),
    "tcp.ooo": (("seq", "length"), "a segment arrived out of order and was kept"),
    "tcp.memory": (
        ("action", "used"),
        "the memory of all buffers: pressure (they hold much), relief (they hold little again), pruned (out-of-order data was discarded)",
    ),
    "tcp.probe": (("count",), "a zero-window or keep-alive probe is sent"),
    "tcp.listen": (("queue", "length"), "a connection entered or left a listener's queue"),
}
