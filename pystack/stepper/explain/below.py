"""Below TCP: ARP, ICMP, fragments, drops, timers."""

from pystack.stepper.explain.base import Explanation, Look, ms, number
from pystack.trace.summary import ip_text


def arp(look: Look) -> Explanation:
    """Address resolution."""
    fields = look.entry.fields
    addr = ip_text(fields["addr"]) if "addr" in fields else look.entry.subject
    kind = str(look.entry.kind)
    if kind == "arp.queued":
        reply = look.next("arp.in", host=look.host)
        waited = (
            f"The answer came {ms(reply.time - look.entry.time)} later ({number(look.frame(reply))}), and the packet left."
            if reply is not None
            else "No answer came."
        )
        return Explanation(
            "arp",
            f"Address resolution: {look.host} knows the IP address {addr} of the next hop, but not its MAC address, without which no "
            "Ethernet frame can be made. The packet waits in the ARP entry, and a request goes out to everybody "
            "(RFC 826, RFC 1122 2.3.2.2).",
            waited,
        )
    if kind == "arp.send":
        return Explanation("arp", f"ARP {fields.get('op', '')} for {addr}: {look.entry.text()}.")
    return Explanation("arp", f"The ARP entry of {addr} on {look.host}: {look.entry.text()}.")


def icmp(look: Look) -> Explanation:
    """ICMP that came in or goes out."""
    kind, code = look.entry.fields["type"], look.entry.fields["code"]
    coming = look.entry.kind == "icmp.in"
    if kind in (0, 8):
        if kind == 8 and coming:
            text = f"Ping: an echo request came in; ICMP of {look.host} itself answers with a reply, no application takes part (RFC 792, RFC 1122 3.2.2.6)."
        elif kind == 8:
            text = f"Ping: {look.host} sends an echo request (type 8), which every host must answer (RFC 1122 3.2.2.6)."
        else:
            text = f"Ping: the echo reply (type 0) {'came back' if coming else 'answers the request'} (RFC 792)."
        return Explanation("ping", text)
    if kind == 11:
        if code == 1:
            text = f"Not all fragments came in time: {look.entry.text()}."
            return Explanation("fragment", text)
        return Explanation(
            "traceroute",
            f"The TTL of the packet came to 0 at {look.host if not coming else 'a router'}, which dropped it and tells the sender with "
            '"time exceeded" (ICMP 11/0, RFC 1812 5.3.1).',
            "The source address of that message is the router's: traceroute sends packets with TTL 1, 2, 3, ... and so learns "
            "each hop.",
        )
    if kind == 3 and code == 4:
        mss = f" The connection's segments carry {look.tcb['mss']} bytes from now on." if look.tcb else ""
        after = look.next("tcp.retransmit", host=look.host, reach=200) if coming else None
        if after is not None:
            mss = f" Its segments carry {look.at(after.index).tcb['mss']} bytes from now on, and what was lost is sent again."
        return Explanation(
            "pmtud",
            "Path MTU discovery: a packet with DF (do not fragment) was larger than the next link's MTU; the router dropped it "
            f'and says "fragmentation needed" with that MTU (ICMP 3/4, RFC 1191 4).{mss}',
        )
    name = {3: "destination unreachable", 5: "redirect", 12: "parameter problem"}.get(kind, f"type {kind}")
    return Explanation("icmp", f"ICMP {name} (type {kind}, code {code}): {look.entry.text()}.")


def fragments(look: Look) -> Explanation:
    """Fragmentation and reassembly."""
    fields = look.entry.fields
    kind = str(look.entry.kind)
    if kind == "ip.fragment":
        return Explanation(
            "fragment",
            f"Fragmentation: the datagram is larger than the link's MTU and may be cut, so IP makes {fields['count']} fragments of it, "
            f"all with identification {fields['ident']}, each with its offset; the last one lacks the flag MF (RFC 791 3.2).",
            "Only the receiver puts them together; if one is lost, all are in vain.",
        )
    if kind == "ip.held":
        return Explanation(
            "fragment",
            f"Reassembly: a fragment at offset {fields['offset']} ({fields['length']} bytes) of datagram {fields['ident']} waits for its "
            "siblings (RFC 791 3.2); after a timeout all of it is dropped (RFC 1122 3.3.2).",
        )
    return Explanation(
        "fragment", f"Reassembly: the last missing fragment came, {fields['length']} bytes go up (RFC 791 3.2)."
    )


def dropped(look: Look) -> Explanation:
    """A drop."""
    name = look.entry.fields["name"]
    mechanism = "pmtud" if name == "forward-too-big" else "drop"
    text = f"{look.host} dropped it (counter {name}): {look.entry.reason}" + (
        f" ({look.entry.rfc})." if look.entry.rfc else "."
    )
    return Explanation(mechanism, text)


def timer(look: Look) -> Explanation:
    """A timer was due, was set or was taken out."""
    name = look.entry.fields["timer"]
    if look.entry.kind == "timer.set":
        wait = ms(look.entry.fields["deadline"] - look.entry.time)
        return Explanation("timer", f"The {name} timer of {look.host} is set, to {wait} from now: {look.entry.text()}.")
    if look.entry.kind != "timer.fired":
        return Explanation("timer", f"The {name} timer of {look.host} is taken out: {look.entry.text()}.")
    mechanism = {"retransmission": "rto", "delayed-ack": "delayed-ack", "persist": "zero-window"}.get(name, "timer")
    says = {
        "retransmission": "no acknowledgement came in time: what is out counts as lost (RFC 6298 5.4)",
        "delayed-ack": "the acknowledgement that was held back goes out alone (RFC 9293 3.8.6.3)",
        "persist": "the window is still closed: a probe asks whether it is (RFC 9293 3.8.6.1)",
        "loss-probe": "nothing came back for two round trips: the tail may be lost, a probe will tell (RFC 8985 7.3)",
        "reordering": "what RACK gave time to arrive late did not: it is lost (RFC 8985 6.2)",
        "time-wait": "2 MSL are over: the connection is forgotten (RFC 9293 3.6.1)",
        "arp": "no answer to the ARP request: ask again, or give up (RFC 1122 2.3.2.1)",
        "reassembly": "not all fragments came in time: the others are dropped (RFC 1122 3.3.2)",
    }.get(name, look.entry.reason)
    return Explanation(mechanism, f"The {name} timer of {look.host} was due: {says}.")
