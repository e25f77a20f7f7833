"""IP options of a socket: source routes, record route, timestamps (RFC 791 section 3.1, RFC 1122 section 3.2.1.8).

An application sets them as on Linux (ip(7), IP_OPTIONS): a source route lists the hops, the
first one first, without the destination. On the wire the header's destination is the first
hop, and the real destination is the last entry of the route. A received route, reversed for
the answers, has the same form as an application's, so the code handles both alike.
"""

import errno
from struct import pack
from typing import Any

from pystack_c.base.address import addr_bytes, from_bytes
from pystack_c.core import Core
from pystack_c.ip import output as ip_output
from pystack_c.ip.encap import Encap
from pystack_c.packet import Outgoing, Packet
from pystack_c.wire import ipv4 as wire

MOST = 40
ROUTES = (wire.IPOPT_LSRR, wire.IPOPT_SSRR)
# The flags of a timestamp option (RFC 791 3.1): only times, times
# with each host's address, or only the times of the listed hosts.
TS_ONLY, TS_AND_ADDRESS, TS_PRESPECIFIED = 0, 1, 3


class IpOptions(Encap):
    """Options that were checked: an encapsulation (ip/encap.py) that adds `length` bytes of options to the header.

    Raises OSError (EINVAL) if the options are malformed.
    """

    def __init__(self, asked: bytes) -> None:
        if len(asked) > MOST:
            raise bad(f"IP options have at most 40 bytes, not {len(asked)}")
        if wire.check_options(asked) >= 0:
            raise bad("an option's length or pointer is wrong")
        self.asked = asked
        self.first_hop = 0
        self.strict = False
        at: dict[int, int] = {}
        for kind, offset, length in walk(asked):
            key = wire.IPOPT_LSRR if kind in ROUTES else kind
            if kind in (*ROUTES, wire.IPOPT_RR, wire.IPOPT_TS):
                # RFC 1122 3.2.1.8 (c): a packet must not have more than one source route.
                if key in at:
                    raise bad("the options contain the same option twice")
                at[key] = offset
            check_one(kind, asked[offset : offset + length])
        end = max([offset + length for _, offset, length in walk(asked)], default=0)
        form = bytearray(asked[:end]) + bytes(-end & 3)
        self.route = at.get(wire.IPOPT_LSRR, -1)
        self.record = at.get(wire.IPOPT_RR, -1)
        self.stamp = at.get(wire.IPOPT_TS, -1)
        if self.route >= 0:
            a, length = self.route, asked[self.route + 1]
            self.first_hop = from_bytes(asked[a + 3 : a + 7])
            self.strict = asked[a] == wire.IPOPT_SSRR
            form[a + 3 : a + length - 4] = asked[a + 7 : a + length]
            self.route_end = a + length
        self.form = bytes(form)
        self.length = len(form)

    def build(self, src: int, dst: int, now: int) -> bytes:
        """Return the options of one packet from `src` to `dst`.

        The route ends at `dst`, and the sender adds the first record.
        """
        form = bytearray(self.form)
        if self.route >= 0:
            form[self.route_end - 4 : self.route_end] = addr_bytes(dst)
        if self.record >= 0:
            record(form, self.record, src)
        if self.stamp >= 0:
            stamp(form, self.stamp, src, now)
        return bytes(form)

    def send(self, core: Core, out: Outgoing) -> int:
        """Send as ip.output.output does, with these options."""
        out.options = self.build(out.src, out.daddr, core.now)
        out.daddr = self.hop(out.daddr)
        return ip_output.output(core, out)


def bad(why: str) -> OSError:
    """Return the error EINVAL, as setsockopt(2) reports it."""
    return OSError(errno.EINVAL, why)


def walk(options: bytes) -> list[tuple[int, int, int]]:
    """Return the options, which must be well formed, as (kind, offset, length) tuples."""
    found = []
    at = 0
    for kind, raw in wire.options_list(options):
        found.append((kind, at, len(raw)))
        at += len(raw)
    return found


def check_one(kind: int, raw: bytes) -> None:
    """Check the rules of RFC 791 3.1 for one option besides its length, as Linux does. Raises OSError (EINVAL)."""
    if kind in ROUTES:
        # The route must have at least one hop, and its pointer must be at the first one.
        if raw[2] != 4 or len(raw) < 7 or (len(raw) - 3) & 3:
            raise bad("a source route needs at least one address, and its pointer must be 4")
        if any(raw[i] >= 224 or raw[i] in (0, 127) for i in range(3, len(raw), 4)):
            raise bad("a source route must contain only unicast addresses")
    elif kind == wire.IPOPT_RR:
        if raw[2] <= len(raw) < raw[2] + 3:
            raise bad("the record route option has no room for an address")
    elif kind == wire.IPOPT_TS:
        need = 4 if raw[3] & 15 == TS_ONLY else 8
        if raw[3] & 15 not in (TS_ONLY, TS_AND_ADDRESS, TS_PRESPECIFIED) or raw[2] <= len(raw) < raw[2] + need - 1:
            raise bad("the timestamp option has an unknown flag, or no room for a timestamp")


def make(asked: Any) -> Any:
    """Return the IpOptions for setsockopt(IP_OPTIONS), or None if there are no options. Raises OSError (EINVAL)."""
    if isinstance(asked, int):
        raise bad("the option takes bytes, not an int")
    options = IpOptions(bytes(asked))
    return options if options.length else None


def record(form: bytearray, at: int, own: int) -> None:
    """Write an address into a route at the pointer, and advance the pointer (RFC 791 3.1).

    A full route does not change.
    """
    pointer = form[at + 2]
    if pointer + 3 <= form[at + 1]:
        form[at + pointer - 1 : at + pointer + 3] = addr_bytes(own)
        form[at + 2] = pointer + 4


def stamp(form: bytearray, at: int, own: int, now: int) -> bool:
    """Add a timestamp to the option.

    If it is full, count the overflow. Returns False if that count is full, too (RFC 791 3.1).

    The time is not Universal Time. It is in milliseconds of the stack's clock, and the high bit says so.
    """
    length, pointer, kind = form[at + 1], form[at + 2], form[at + 3] & 15
    if kind not in (TS_ONLY, TS_AND_ADDRESS, TS_PRESPECIFIED):
        return True
    if pointer > length:
        if form[at + 3] >> 4 == 15:
            return False
        form[at + 3] += 16
        return True
    time = pack(">I", 0x80000000 | (now // 1_000_000 & 0x7FFFFFFF))
    i = at + pointer - 1
    if kind == TS_ONLY:
        if pointer + 3 > length:
            return False
        form[i : i + 4] = time
        form[at + 2] = pointer + 4
        return True
    if pointer + 7 > length:
        return False
    if kind == TS_PRESPECIFIED and form[i : i + 4] != addr_bytes(own):
        return True
    form[i : i + 8] = addr_bytes(own) + time
    form[at + 2] = pointer + 8
    return True


def reverse_route(options: bytes, src: int) -> bytes:
    """Return a completed source route in reverse, in the form that an application uses, or b"" if there is none.

    RFC 1122 3.2.1.8 (c): the recorded route may begin with the source host itself, which is left out.
    """
    for kind, at, length in walk(options):
        if kind in ROUTES and options[at + 2] > length:
            hops = [options[i : i + 4] for i in range(at + 3, at + length - 3, 4)]
            if hops and hops[0] == addr_bytes(src):
                hops = hops[1:]
            if any(hop[0] >= 224 or hop[0] in (0, 127) for hop in hops) or not hops:
                return b""
            return bytes((kind, 3 + 4 * len(hops), 4)) + b"".join(reversed(hops))
    return b""


def reply(options: bytes, src: int) -> Any:
    """Return an echo reply's options (RFC 1122 3.2.2.6): the reversed route, and the records and timestamps."""
    back = reverse_route(options, src)
    for kind, at, length in walk(options):
        if kind in (wire.IPOPT_RR, wire.IPOPT_TS):
            back += options[at : at + length]
    try:
        return make(back)
    except OSError:
        # Options with a duplicate or an incomplete address cannot be sent.
        return None


def of_packet(pkt: Packet) -> bytes:
    """Return the options of a received packet."""
    return bytes(pkt.frame[pkt.ip_off + 20 : pkt.ip_off + pkt.ip_hlen])


def final_destination(header: bytes) -> int:
    """Return the final destination: the last entry of an uncompleted source route, or the header's (RFC 791 3.1)."""
    options = header[20:]
    if wire.check_options(options) < 0:
        for kind, at, length in walk(options):
            if kind in ROUTES and options[at + 2] + 3 <= length:
                return from_bytes(options[at + length - 4 : at + length])
    return from_bytes(header[16:20])


def sign_forwarded(core: Core, form: bytearray, start: int, end: int, own: int) -> bool:
    """Add this router to the route and timestamp options of the header form[start:end] (RFC 1812 5.3.13.5, 5.3.13.6).

    Returns False if a timestamp option overflows.
    """
    for kind, at, _ in walk(bytes(form[start + 20 : end])):
        if kind == wire.IPOPT_RR:
            record(form, start + 20 + at, own)
        elif kind == wire.IPOPT_TS and not stamp(form, start + 20 + at, own, core.now):
            return False
    return True
