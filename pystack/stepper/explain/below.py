"""Explanations below TCP: ARP, ICMP, fragments, drops, timers."""

import pystack_c.const as C
from pystack.stepper.explain import paths, queue
from pystack.stepper.explain.base import Explanation, Look, ms, number
from pystack.stepper.records import Entry, Frame
from pystack.stepper.timeline import Timeline
from pystack_c.base.address import addr_text

#: code of "destination unreachable" -> what its sender reports
_UNREACHABLE = {
    0: "a router has no route to the network of the destination",
    1: "a router cannot reach the host itself",
    2: "the host has no such protocol",
    3: "no program uses that port of the host",
    9: "a filter forbids packets to that network",
    10: "a filter forbids packets to that host",
    13: "a filter forbids such packets",
}


#: state of an ARP entry -> what it means (RFC 4861 7.3.2)
_ENTRY = {
    "INCOMPLETE": "{host} has asked, and waits for the answer.",
    "REACHABLE": "{host} knows the MAC address, and has a recent proof that the neighbour has it.",
    "STALE": "{host} knows the MAC address and uses it, but has no recent proof that the neighbour still has it.",
    "DELAY": "{host} goes on with the known MAC address, and gives the neighbour some time to prove that it is there.",
    "PROBE": "{host} asks the neighbour again, and uses the known MAC address meanwhile.",
    "FAILED": "Nobody answered, so {host} cannot send to this neighbour.",
    "PERMANENT": "It was set by hand, so {host} never asks.",
}
#: timer -> what happens if nothing comes before it. The core's reasons say it of the others.
_UNTIL = {
    "retransmission": "If no acknowledgement arrives until then, {host} retransmits.",
    "loss-probe": "If no acknowledgement arrives until then, {host} sends a probe, so that the answer shows what is missing.",
    "reordering": "",
    "persist": "If the window stays closed until then, {host} sends a probe.",
    "delayed-ack": "Then the acknowledgement leaves alone.",
    "fin-wait-2": "Then {host} forgets the connection.",
    "time-wait": "Then {host} forgets the connection, and its ports are free.",
    "keep-alive": "If nothing arrives until then, {host} sends a probe.",
    "conntrack": "If no packet of the connection passes until then, {host} removes it from its table.",
    "reassembly": "If a fragment is still missing then, {host} drops the others.",
}


def arp(look: Look) -> Explanation:
    """Explain a step of address resolution."""
    fields = look.entry.fields
    addr = addr_text(fields["addr"]) if "addr" in fields else look.entry.subject
    kind = str(look.entry.kind)
    if kind == "arp.queued":
        reply = look.next("arp.in", host=look.host)
        waited = (
            f"The answer arrived {ms(reply.time - look.entry.time)} later ({number(look.frame(reply))}), and the packet was sent."
            if reply is not None
            else "No answer arrived."
        )
        again = _asked_again(look, reply)
        return Explanation(
            "arp",
            f"Address resolution: {look.host} knows the IP address {addr} of the next hop, but not its MAC address, and an "
            "Ethernet frame needs one. The packet waits in the ARP entry, and a request is broadcast to all hosts on the link "
            "(RFC 826, RFC 1122 2.3.2.2).",
            again,
            waited,
        )
    if kind == "arp.send":
        return Explanation("arp", f"ARP {fields.get('op', '')} for {addr}: {look.named()}{look.section()}.")
    return _neighbour(look, addr)


def _neighbour(look: Look, addr: str) -> Explanation:
    """Explain a change of an ARP entry's state."""
    old, new, host = look.entry.fields.get("old", ""), look.entry.fields.get("new", ""), look.host
    if look.entry.kind == "arp.in" or not new:
        return Explanation("arp", f"ARP message of {addr} at {host}: {look.named()}{look.section()}.")
    reason = look.named()
    asked = look.last("arp.in", host=host, reach=4)
    if old == "NONE" and "announced" in reason and asked is not None and str(asked.fields.get("op")) == "request":
        reason = f"a request of {addr} arrived, which also says its own MAC address"
    came = "is new, in the state" if old == "NONE" else f"goes from {old} to"
    means = _ENTRY.get(new, "").format(host=host)
    return Explanation("arp", f"The ARP entry of {addr} on {host} {came} {new}: {reason}{look.section()}.", means)


def _asked_again(look: Look, reply: "Entry | None") -> str:
    """Say which requests were not answered before one was."""
    asked: list[Entry] = []
    at = look.next("arp.send", host=look.host)
    while at is not None and (reply is None or at.index < reply.index) and len(asked) < 10:
        if at.fields.get("addr") == look.entry.fields.get("addr"):
            asked.append(at)
        at = look.at(at.index).next("arp.send", host=look.host)
    if len(asked) < 2:
        return ""
    first = look.frame(asked[0])
    fate = "was lost on the way" if first is not None and first.fate == "lost" else "got no answer"
    return (
        f"The first request ({number(first)}) {fate}, so {look.host} asked again after {ms(asked[1].time - asked[0].time)} "
        f"({number(look.frame(asked[1]))}; RFC 1122 2.3.2.1)."
    )


def icmp(look: Look) -> Explanation:
    """Explain an ICMP message that arrived or is sent."""
    kind, code = look.entry.fields["type"], look.entry.fields["code"]
    coming = look.entry.kind == "icmp.in"
    if kind in (0, 8):
        if kind == 8 and coming:
            text = (
                f"Ping: an echo request arrived. The ICMP code of {look.host} answers it itself, without any application (RFC 1122 3.2.2.6). "
                "The reply (type 0) carries the request's identifier, sequence number and data, so that the sender knows which of "
                "its requests it answers (RFC 792)."
            )
        elif kind == 8:
            text = f"Ping: {look.host} sends an echo request (type 8), which every host must answer (RFC 1122 3.2.2.6)."
        else:
            text = f"Ping: the echo reply (type 0) {'arrived' if coming else 'answers the request'} (RFC 792)."
        return Explanation("ping", text)
    if kind == 11:
        if code == 1:
            text = (
                f"{look.host if not coming else 'The receiver'} did not get all fragments of the datagram before its reassembly timer expired. It "
                "discards the fragments that it has, and reports this to the sender (ICMP 11/1, RFC 1122 3.3.2)."
            )
            return Explanation("fragment", text)
        return Explanation(
            "traceroute",
            f"The TTL of the packet reached 0 at {look.host if not coming else 'a router'}, which dropped it and reports this to the sender with "
            '"time exceeded" (ICMP 11/0, RFC 1812 5.3.1).',
            "The source address of that message is the router's. Traceroute sends packets with TTL 1, 2, 3, ..., so it learns "
            "the address of each hop.",
        )
    if kind == 3 and code == 4:
        return Explanation(
            "pmtud",
            "Path MTU discovery: a packet with DF (do not fragment) was larger than the MTU of a link on its path. The router before "
            'that link dropped it and reports "fragmentation needed" with the MTU (ICMP 3/4, RFC 1191 4).',
            _smaller(look) if coming else "",
        )
    name = {3: "destination unreachable", 5: "redirect", 12: "parameter problem"}.get(kind, f"type {kind}")
    if coming and kind == 3 and code in _UNREACHABLE:
        return Explanation(
            "icmp", f"ICMP {name} (type 3, code {code}): {_UNREACHABLE[code]} (RFC 792, RFC 1812 5.2.7.1)."
        )
    return Explanation("icmp", f"ICMP {name} (type {kind}, code {code}): {look.named()}{look.section()}.")


def _smaller(look: Look) -> str:
    """Say how the new path MTU changed the connection's segments."""
    after = look.next("tcp.retransmit", host=look.host, reach=200)
    tcb = look.at(after.index).tcb if after is not None else look.tcb
    if not tcb:
        return ""
    stamps = ", and 12 of timestamps" if tcb["ts_ok"] else ""
    again = ". The dropped data is retransmitted at once" if after is not None else ""
    return (
        f"{look.host}'s segments carry {tcb['mss']} bytes from now on: the path MTU of {tcb['path_mtu']} bytes, less 20 of IP header, 20 of "
        f"TCP header{stamps}{again}."
    )


def forwarded(look: Look) -> Explanation:
    """Explain a packet that a router forwards."""
    ttl = look.entry.fields["ttl"]
    return Explanation(
        "routing", f"{look.host} is a router: {look.named()}{look.section()}. The TTL is one less now, {ttl}."
    )


def fragments(look: Look) -> Explanation:
    """Explain fragmentation or reassembly."""
    fields = look.entry.fields
    kind = str(look.entry.kind)
    if kind == "ip.fragment":
        return Explanation(
            "fragment",
            f"Fragmentation: the datagram is larger than the MTU of the link and DF is not set, so IP makes {fields['count']} fragments of it, "
            f'all with identification {fields["ident"]}, and each with its own offset. All but the last one have the flag MF, "more fragments" '
            "(RFC 791 3.2).",
            _shares(look),
            "Only the receiver reassembles them. If one fragment is lost, the whole datagram is lost.",
        )
    if kind == "ip.held":
        return Explanation(
            "fragment",
            f"Reassembly: a fragment at offset {fields['offset']} ({fields['length']} bytes) of datagram {fields['ident']} waits for the "
            "other fragments (RFC 791 3.2). If they do not arrive in time, all of it is dropped (RFC 1122 3.3.2).",
        )
    return Explanation(
        "fragment",
        f"Reassembly: the last missing fragment arrived, so the datagram with {fields['length']} bytes is complete (RFC 791 3.2).",
    )


def arp_frame(timeline: Timeline, frame: Frame) -> str:
    """Explain an ARP packet that a host sends; "" if the frame is none."""
    data = frame.data
    if frame.link != C.LINK_ETHERNET or data[12:14] != b"\x08\x06" or len(data) < 42:
        return ""
    sender, target = data[28:32], data[38:42]
    if data[20:22] == b"\x00\x01" and sender == bytes(4):
        return (
            f"ARP probe: {frame.host} wants to use the address {address(target)}, and asks first whether another host has it. The sender's "
            "address is 0, so that nobody learns a wrong one (RFC 5227 2.1.1)."
        )
    if data[20:22] == b"\x00\x01" and sender == target:
        return f"ARP announcement: {frame.host} uses the address {address(target)} from now on, and all others correct their entries (RFC 5227 2.3)."
    for index in frame.why:
        if timeline.kind(index) == "arp.send":
            return "".join(arp(Look(timeline, index)).sentences)
    return ""


def address(data: bytes) -> str:
    """Return four bytes as an IPv4 address."""
    return ".".join(str(byte) for byte in data)


def piece(frame: Frame) -> str:
    """Explain a later fragment of a datagram; "" if the frame is none."""
    data = frame.data[14:] if frame.link == C.LINK_ETHERNET else frame.data
    if len(data) < 20 or data[0] >> 4 != 4 or (frame.link == C.LINK_ETHERNET and frame.data[12:14] != b"\x08\x00"):
        return ""
    place = int.from_bytes(data[6:8], "big")
    offset, more = (place & 0x1FFF) * 8, place & 0x2000
    if not offset and not more:
        return ""
    size = int.from_bytes(data[2:4], "big") - 4 * (data[0] & 15)
    which = "one more" if more else "the last"
    return (
        f"This is {which} fragment of datagram {int.from_bytes(data[4:6], 'big')}: its bytes {offset} to {offset + size - 1}. Only the "
        "first fragment has the header of the layer above, so a filter cannot see ports in this one (RFC 791 3.2)."
    )


def _shares(look: Look) -> str:
    """Say how much data each fragment carries."""
    sizes: list[int] = []
    for index in range(look.index + 1, min(look.index + 200, len(look.timeline.events))):
        entry = look.timeline.events[index]
        frame = look.frame(entry) if entry.kind == "frame.out" and entry.host == look.host else None
        if frame is not None and frame.data[12:14] == b"\x08\x00" and len(sizes) < look.entry.fields["count"]:
            if int.from_bytes(frame.data[18:20], "big") == look.entry.fields["ident"]:
                sizes.append(int.from_bytes(frame.data[16:18], "big") - 4 * (frame.data[14] & 15))
    if len(sizes) < 2:
        return ""
    listed = f"{', '.join(map(str, sizes[:-1]))} and {sizes[-1]}"
    return f"They carry {listed} bytes, and each has an IP header of its own. Offsets count in units of 8 bytes."


def _filtered(look: Look, name: str) -> Explanation:
    """Explain a drop by the packet filter."""
    text = f"The packet filter of {look.host} refused it (counter {name}): {look.entry.reason}."
    if not look.entry.subject.startswith("tcp"):
        fate = (
            "Nobody tells the sender, and UDP and ICMP retransmit nothing. A program notices only that no answer comes."
        )
        if name == "nft-reject":
            fate = "The filter answers with an ICMP error, so the sender learns it after one round trip (RFC 1122 4.1.3.3)."
    elif name == "nft-reject":
        fate = (
            "The filter answers in the name of the receiver, so the client knows it after one round trip: a RST in SYN-SENT means "
            "connection refused (RFC 9293 3.10.7.3), and an ICMP error means as much (RFC 1122 4.2.3.9)."
        )
    else:
        fate = (
            "Nobody tells the client. It takes the packet for lost, retransmits it, and doubles the timeout each time (RFC 6298 5.5), "
            "until it gives up."
        )
    traced = look.last("nft.trace", host=look.host)
    if traced is None or traced.time != look.entry.time:
        return Explanation("firewall", text, fate)
    fields = traced.fields
    step = f"The trace ends at the rule with handle {fields['handle']} of chain {fields['chain']}, with the verdict {fields['verdict']}."
    return Explanation("firewall", text, fate, step)


def dropped(look: Look) -> Explanation:
    """Explain a drop."""
    name = look.entry.fields["name"]
    if name in ("nft-drop", "nft-policy", "nft-reject"):
        return _filtered(look, name)
    if name.startswith("qdisc-"):
        return queue.discipline(look)
    if name == "tcp-accept-queue-full":
        return paths.full_queue(look)
    if name == "forward-ttl":
        return paths.expired(look)
    mechanism = "pmtud" if name == "forward-too-big" else "drop"
    text = f"{look.host} dropped it (counter {name}) because {look.entry.reason}" + (
        f" ({look.entry.rfc})." if look.entry.rfc else "."
    )
    return Explanation(mechanism, text)


def timer(look: Look) -> Explanation:
    """Explain a timer that expired, was set or was cancelled."""
    name = look.entry.fields["timer"]
    if look.entry.kind == "timer.set":
        wait = ms(look.entry.fields["deadline"] - look.entry.time)
        until = _UNTIL.get(name, "").format(host=look.host)
        return Explanation(
            "timer", f"The {name} timer of {look.host} expires in {wait}: {look.named()}{look.section()}.", until
        )
    if look.entry.kind != "timer.fired":
        return Explanation("timer", f"The {name} timer of {look.host} is cancelled: {look.named()}{look.section()}.")
    mechanism = {
        "retransmission": "rto",
        "delayed-ack": "delayed-ack",
        "persist": "zero-window",
        "pacing": "pacing",
    }.get(name, "timer")
    says = {
        "retransmission": "no acknowledgement arrived in time, so all outstanding segments count as lost (RFC 6298 5.4)",
        "delayed-ack": "nothing could carry the delayed acknowledgement in time, so it is sent alone (RFC 9293 3.8.6.3)",
        "persist": "no window update arrived, so a probe asks whether the window is still closed (RFC 9293 3.8.6.1)",
        "loss-probe": "no acknowledgement arrived for two round trips, so the last segments may be lost and a probe checks it (RFC 8985 7.3)",
        "reordering": "the missing segments did not arrive within the reordering window, so RACK marks them lost (RFC 8985 6.2)",
        "time-wait": "2 MSL have passed, so the connection is deleted (RFC 9293 3.6.1)",
        "arp": "no answer to the ARP request arrived, so ARP asks again or gives up (RFC 1122 2.3.2.1)",
        "reassembly": "not all fragments arrived in time, so the others are dropped (RFC 1122 3.3.2)",
    }.get(name, look.named())
    waits = _waits_for_ack(look) if name == "delayed-ack" else []
    return Explanation(mechanism, f"The {name} timer of {look.host} expired: {says}.", *waits)


def _waits_for_ack(look: Look) -> list[str]:
    """If Nagle's algorithm made the other side wait for this delayed acknowledgement, say so."""
    peer_conn = look.peer_conn()
    held = look.last("tcp.hold", "tcp.out", conn=peer_conn, reach=400) if peer_conn else None
    if held is None or held.kind != "tcp.hold" or str(held.fields["by"]).split(", ")[0] != "nagle":
        return []
    return [
        f"{look.peer()} has waited for it for {look.ago(held)}: Nagle's algorithm holds {held.fields['length']} bytes back until it arrives "
        "(RFC 9293 3.7.4, RFC 896). Each side waited for the other."
    ]


def balance(look: Look) -> Explanation:
    """Explain why a load balancer sent a connection or a packet to a server."""
    event, fields = look.entry, look.entry.fields
    server = fields.get("server", "")
    if event.kind == "balance.direct":
        text = f"The balancer sends the packet of {fields.get('client', '')} to {server} with its addresses unchanged: {event.reason}."
        return Explanation("load-balancing", text)
    text = (
        f"The {event.subject} gives the new connection of {fields.get('client', '')} to {server}, which has "
        f"{fields.get('active', 0)} open connections ({fields.get('by', '')}). "
        "Later packets of the connection follow this choice (RFC 2391 3)."
    )
    return Explanation("load-balancing", text)
