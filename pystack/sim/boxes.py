"""The middleboxes: NAT timeouts, injected resets, options, MSS, window scale, ECN, and corruption that no checksum shows.

    link.middlebox(NatTimeout(30 * S, answer="reset"))
    link.middlebox(OptionStripper("sack-permitted"))

docs/howto/faults.md has a table of all faults with their sources.
"""

from collections import OrderedDict

import pystack_c.const as C
from pystack.sim.middlebox import IN, OUT, Middlebox, Sent, Transport, check_probability, check_whole, mended, reset
from pystack.sim.units import probability_text, time_text

#: the TCP options by name (IANA, Transmission Control Protocol Parameters)
OPTIONS = {
    "mss": 2,
    "window-scale": 3,
    "sack-permitted": 4,
    "sack": 5,
    "timestamps": 8,
    "md5": 19,
    "ao": 29,
    "mptcp": 30,
    "fast-open": 34,
}
_NAMES = {kind: name for name, kind in OPTIONS.items()}
#: the most connections that a box remembers; it forgets the one that was idle longest
MOST = 65536
Key = tuple[int, bytes, int, bytes, int]


class NatTimeout(Middlebox):
    """A NAT or a stateful firewall that forgets a connection without packets. It translates no addresses.

    A packet that opens a connection (a TCP SYN of either side, or a UDP datagram that leaves the near end) makes a mapping. After `idle` ns
    without a packet, the mapping is gone. Packets of TCP without a mapping are dropped, or answered with a reset; so are those of connections
    that were open before the box was in its place. UDP goes on with the next datagram from the near end.

    idle    ns; RFC 5382 REQ-5 wants at least 2 h 4 min for TCP, and RFC 4787 REQ-5 2 min for UDP, and many boxes in use are below this
    answer  "drop", or "reset" (AWS's load balancers and NAT gateways reset, after 350 s)
    most    connections that it remembers; with one more, it forgets the one that was idle longest
    """

    kind = "nat-timeout"

    def __init__(self, idle: int, answer: str = "drop", most: int = MOST):
        super().__init__()
        self.idle = check_whole("idle", idle, 1)
        if answer not in ("drop", "reset"):
            raise ValueError(f"answer={answer!r:.40}: write drop or reset")
        self.answer = answer
        self.most = check_whole("most", most, 1, 1 << 24)
        self._seen: OrderedDict[Key, int] = OrderedDict()

    def handle(self, way: int, frame: bytes, now: int) -> Sent:
        """See Middlebox."""
        segment = self.segment(frame)
        if segment is None:
            return [(way, frame)]
        key = segment.key() if way == OUT else segment.reverse()
        last = self._seen.get(key)
        expired = last is not None and now - last >= self.idle
        if expired:
            del self._seen[key]
        tcp = segment.proto == C.IPPROTO_TCP
        if (last is not None and not expired) or (segment.opens() if tcp else way == OUT):
            self._seen[key] = now
            self._seen.move_to_end(key)
            if len(self._seen) > self.most:
                self._seen.popitem(last=False)
            return [(way, frame)]
        if expired:
            reason = f"the box forgot this connection, because it was idle for {time_text(self.idle)}"
        else:
            reason = "the box knows no such connection: it has forgotten it, or the connection is older than the box"
        rfc = "RFC 5382 5 REQ-5" if tcp else "RFC 4787 4.3 REQ-5"
        if self.answer == "reset" and tcp and not segment.flags & C.RST:
            self.note("reset", reason + ", and it answers with a reset", rfc)
            return [(1 - way, reset(segment, True))]
        return self.drop("nat", reason, rfc)

    def text(self) -> str:
        """See Middlebox."""
        return f"{self.kind} idle={time_text(self.idle)}, answer={self.answer}"


class Resetter(Middlebox):
    """A box that ends a connection by resets that it sends in the name of the other side, as some firewalls do (RFC 3360).

    The first segment that meets all conditions is lost, and each connection is reset once.

    after_bytes  bytes of payload, in both directions together, that the connection has had by then; None: any
    at           time of the link's clock (ns) from which on; None: any
    port         port of one of the two sides; None: any
    both         reset both sides, or only the sender of the segment. (The receiver of a SYN does not know the connection yet.)
    """

    kind = "reset"

    def __init__(
        self, *, after_bytes: int | None = None, at: int | None = None, port: int | None = None, both: bool = True
    ):
        super().__init__()
        self.after_bytes = None if after_bytes is None else check_whole("after_bytes", after_bytes, 0)
        self.at = None if at is None else check_whole("at", at, 0)
        self.port = None if port is None else check_whole("port", port, 1, 65535)
        if not isinstance(both, bool):
            raise ValueError(f"both={both!r:.40}: write True or False")
        self.both = both
        #: the bytes of each connection, or -1 if it was reset
        self._seen: OrderedDict[Key, int] = OrderedDict()

    def handle(self, way: int, frame: bytes, now: int) -> Sent:
        """See Middlebox."""
        segment = self.segment(frame)
        if segment is None or segment.proto != C.IPPROTO_TCP or segment.flags & C.RST:
            return [(way, frame)]
        if self.port is not None and self.port not in (segment.sport, segment.dport):
            return [(way, frame)]
        key = segment.key() if way == OUT else segment.reverse()
        # A SYN begins a new connection, which may have the ports of an old one.
        count = 0 if segment.opens() else self._seen.get(key, 0)
        if count >= 0:
            count += segment.length
        self._seen[key] = count
        self._seen.move_to_end(key)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        early = self.at is not None and now < self.at
        if count < 0 or early or (self.after_bytes is not None and count < self.after_bytes):
            return [(way, frame)]
        self._seen[key] = -1
        reason = f"the box resets the connection{self._why(count)}"
        self.note("reset", reason, "RFC 3360", bytes=count)
        sent = [(1 - way, reset(segment, True))]
        if self.both and not segment.opens():
            sent.append((way, reset(segment, False)))
        return sent

    def _why(self, count: int) -> str:
        parts = []
        if self.after_bytes is not None:
            parts.append(f"after {count} bytes")
        if self.at is not None:
            parts.append(f"after {self.at / 1e9:g} s")
        if self.port is not None:
            parts.append(f"because of port {self.port}")
        return " " + ", ".join(parts) if parts else ""

    def text(self) -> str:
        """See Middlebox."""
        return f"{self.kind}{self._text()}"

    def _text(self) -> str:
        found = {"after_bytes": self.after_bytes, "port": self.port, "both": None if self.both else "no"}
        words = [f"{name}={value}" for name, value in found.items() if value is not None]
        if self.at is not None:
            words.append(f"at={time_text(self.at)}")
        return " " + ", ".join(words) if words else ""


class OptionStripper(Middlebox):
    """A box that takes TCP options out of all segments (measured by Honda et al., IMC 2011).

    options  names (see OPTIONS) or numbers of kinds
    how      "nop": they become NOPs; "remove": they are cut out, and the header becomes shorter
    ways     "out", "in" or "both"
    """

    kind = "strip"

    def __init__(self, *options: str | int, how: str = "nop", ways: str = "both"):
        super().__init__(ways)
        self.kinds = {option_kind(option): None for option in options}
        if not self.kinds:
            raise ValueError(f"name the options to strip: {', '.join(OPTIONS)}, or numbers")
        if how not in ("nop", "remove"):
            raise ValueError(f"how={how!r:.40}: write nop or remove")
        self.how = how

    def handle(self, way: int, frame: bytes, now: int) -> Sent:
        """See Middlebox."""
        segment = self.segment(frame)
        if segment is None:
            return [(way, frame)]
        chosen = [option for option in segment.options() if option[0] in self.kinds]
        if not chosen:
            return [(way, frame)]
        names = ", ".join(option_name(kind) for kind, _, _ in chosen)
        self.note("strip", f"the box strips TCP options: {names}", "Honda et al., IMC 2011", options=names)
        changed = bytearray(frame)
        for _, at, length in chosen:
            changed[at : at + length] = b"\x01" * length
        if self.how == "remove":
            changed = _without(segment, chosen)
        return [(way, mended(frame, bytes(changed), segment.ip))]

    def text(self) -> str:
        """See Middlebox."""
        return f"{self.kind} options={'+'.join(option_name(kind) for kind in self.kinds)}, how={self.how}"


def _without(segment: Transport, chosen: list[tuple[int, int, int]]) -> bytearray:
    """The frame without these options. The rest is padded to a multiple of four bytes (RFC 9293 3.1)."""
    frame = segment.frame
    kept = bytearray()
    at = segment.l4 + 20
    for _, begin, length in chosen:
        kept += frame[at:begin]
        at = begin + length
    kept += frame[at : segment.data]
    # NOPs and ends that only filled the header are no longer needed.
    while kept and kept[-1] in (0, 1) and len(kept) % 4 != 0:
        kept.pop()
    kept += bytes(-len(kept) % 4)
    if not any(kind > 1 for kind in _kinds(kept)):
        kept.clear()
    saved = segment.data - segment.l4 - 20 - len(kept)
    out = bytearray(frame[: segment.l4 + 20] + kept + frame[segment.data :])
    out[segment.l4 + 12] = ((20 + len(kept)) // 4) << 4 | frame[segment.l4 + 12] & 15
    out[segment.ip + 2 : segment.ip + 4] = (segment.end - segment.ip - saved).to_bytes(2, "big")
    return out


def _kinds(options: bytearray) -> list[int]:
    found, at = [], 0
    while at < len(options):
        found.append(options[at])
        at += 1 if options[at] < 2 or at + 1 >= len(options) else max(options[at + 1], 2)
    return found


def option_kind(option: str | int) -> int:
    """The kind of an option by its name or number. ValueError if there is no such option."""
    found = option
    if isinstance(option, str):
        found = OPTIONS.get(option, int(option) if option.isdecimal() and len(option) < 4 else -1)
    if not isinstance(found, int) or isinstance(found, bool) or not 2 <= found <= 255:
        raise ValueError(
            f"{option!r:.40} is no TCP option that can be stripped: {', '.join(OPTIONS)}, or a number from 2 to 255"
        )
    return found


def option_name(kind: int) -> str:
    """The name of an option, or its number."""
    return _NAMES.get(kind, str(kind))


class MssRewriter(Middlebox):
    """A box that writes another MSS into SYNs, as routers in front of PPPoE and VPN links do (RFC 4459 3.2, iptables' TCPMSS).

    mss     bytes
    always  write it although the SYN has a smaller one. (A value that is too large is a fault of real boxes.)
    """

    kind = "mss"

    def __init__(self, mss: int, always: bool = False, ways: str = "both"):
        super().__init__(ways)
        self.mss = check_whole("mss", mss, 1, 65535)
        if not isinstance(always, bool):
            raise ValueError(f"always={always!r:.40}: write True or False")
        self.always = always

    def handle(self, way: int, frame: bytes, now: int) -> Sent:
        """See Middlebox."""
        segment = self.segment(frame)
        at = _value_of(segment, OPTIONS["mss"], 4)
        if segment is None or not at:
            return [(way, frame)]
        told = int.from_bytes(frame[at : at + 2], "big")
        if told == self.mss or (told < self.mss and not self.always):
            return [(way, frame)]
        self.note("mss", "the box rewrites the MSS of the SYN", "RFC 4459 3.2", old=told, new=self.mss)
        return [(way, mended(frame, frame[:at] + self.mss.to_bytes(2, "big") + frame[at + 2 :], segment.ip))]

    def text(self) -> str:
        """See Middlebox."""
        return f"{self.kind} mss={self.mss}" + (", always=yes" if self.always else "")


class ScaleRewriter(Middlebox):
    """A box that writes another window scale into SYNs, so the two sides no longer agree what a window means.

    Routers that wrote 0 but left the option in place were common in 2004 (https://lwn.net/Articles/92727/).

    shift  the value that it writes, 0 to 14 (RFC 7323 2.3)
    """

    kind = "window-scale"

    def __init__(self, shift: int = 0, ways: str = "both"):
        super().__init__(ways)
        self.shift = check_whole("shift", shift, 0, 14)

    def handle(self, way: int, frame: bytes, now: int) -> Sent:
        """See Middlebox."""
        segment = self.segment(frame)
        at = _value_of(segment, OPTIONS["window-scale"], 3)
        if segment is None or not at or frame[at] == self.shift:
            return [(way, frame)]
        self.note(
            "window-scale",
            "the box rewrites the window scale of the SYN",
            "RFC 7323 2.2",
            old=frame[at],
            new=self.shift,
        )
        return [(way, mended(frame, frame[:at] + bytes((self.shift,)) + frame[at + 1 :], segment.ip))]

    def text(self) -> str:
        """See Middlebox."""
        return f"{self.kind} shift={self.shift}"


def _value_of(segment: Transport | None, kind: int, length: int) -> int:
    """The offset of the value of an option in a SYN, or 0."""
    if segment is None or not segment.flags & C.SYN:
        return 0
    return next((at + 2 for found, at, size in segment.options() if found == kind and size == length), 0)


class EcnBleacher(Middlebox):
    """A box that clears the ECN field of IP packets, so that no queue behind it marks them and all marks before it are lost (RFC 3168 18.1)."""

    kind = "ecn-bleach"

    def __init__(self, ways: str = "both"):
        super().__init__(ways)

    def handle(self, way: int, frame: bytes, now: int) -> Sent:
        """See Middlebox."""
        at = self._header + 1
        was = frame[at] & 3
        if not was:
            return [(way, frame)]
        name = ("", "ECT(1)", "ECT(0)", "CE")[was]
        self.note("ecn-bleach", f"the box clears the ECN field, which was {name}", "RFC 3168 18.1", ecn=was)
        return [(way, mended(frame, frame[:at] + bytes((frame[at] & 0xFC,)) + frame[at + 1 :], self._header))]


class Corrupter(Middlebox):
    """A box that flips a bit of the payload and mends the checksum, as faulty memory in a router does (Stone and Partridge, SIGCOMM 2000).

    probability  of a segment with payload; None: no chance
    every        each so-manieth segment with payload, counted over both directions; None: none
    port         port of one of the two sides; None: any
    """

    kind = "corrupt"

    def __init__(
        self, probability: float | None = None, *, every: int | None = None, port: int | None = None, ways: str = "both"
    ):
        super().__init__(ways)
        if probability is None and every is None:
            raise ValueError("give a probability, or every=N")
        self.probability = 0.0 if probability is None else check_probability("probability", probability)
        self.every = None if every is None else check_whole("every", every, 1)
        self.port = None if port is None else check_whole("port", port, 1, 65535)
        self._count = 0

    def handle(self, way: int, frame: bytes, now: int) -> Sent:
        """See Middlebox."""
        segment = self.segment(frame)
        if segment is None or segment.length < 1:
            return [(way, frame)]
        if self.port is not None and self.port not in (segment.sport, segment.dport):
            return [(way, frame)]
        self._count += 1
        chance = self.rng.random() < self.probability
        if not chance and (self.every is None or self._count % self.every):
            return [(way, frame)]
        bit = self.rng.below(segment.length * 8)
        out = bytearray(frame)
        out[segment.data + (bit >> 3)] ^= 0x80 >> (bit & 7)
        reason = f"the box flips bit {bit} of the payload and mends the checksum"
        self.note("corrupt", reason, "Stone and Partridge, SIGCOMM 2000", bit=bit)
        return [(way, mended(frame, bytes(out), segment.ip))]

    def text(self) -> str:
        """See Middlebox."""
        words = [f"probability={probability_text(self.probability)}"] if self.probability else []
        words += [
            f"{name}={value}" for name, value in (("every", self.every), ("port", self.port)) if value is not None
        ]
        return f"{self.kind} {', '.join(words)}"


__all__ = [
    "IN", "MOST", "OPTIONS", "OUT", "Corrupter", "EcnBleacher", "Middlebox", "MssRewriter", "NatTimeout", "OptionStripper", "Resetter",
    "ScaleRewriter",
]  # fmt: skip
