"""The rules of address translation, and the choice of a new address and port (Linux nf_nat_core, RFC 4787, RFC 5382, RFC 5508)."""

from collections import OrderedDict
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, key
from pystack_c.base.seqnum import seq_gt
from pystack_c.core import Core
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.flow import Half, Tracked

#: how many ports are tried at the most, before the search starts anew with half as many, as on Linux
ATTEMPTS = 128
#: in the last attempts of a search, connections in TIME-WAIT give way
HARDER = ATTEMPTS // 4
#: how many connections from the same source are looked at for a mapping that the range allows
MAPPINGS = 16


class Range:
    """What a translation may choose from: addresses and ports from the first to the last. 0 leaves the address or port as it is."""

    def __init__(self, low: int, high: int, port_low: int, port_high: int, fully_random: bool = False) -> None:
        self.low = low
        self.high = high
        self.port_low = port_low
        self.port_high = port_high
        self.fully_random = fully_random
        #: the same host gets the same address, whatever the destination
        self.persistent = False


class NatRule:
    """One rule: what a packet must match, and its action (NAT_*). 0 and None match everything.

    `iface` is the interface on which the packet arrived, or by which it leaves. The masks have 128 bits.
    """

    def __init__(self, action: int, choice: Range) -> None:
        self.action = action
        self.choice = choice
        self.iface: Any = None
        self.proto = 0
        self.src = 0
        self.src_mask = 0
        self.dst = 0
        self.dst_mask = 0
        self.port_low = 0
        self.port_high = 65535
        self.packets = 0
        #: the service of a load balancer, which chooses the new destination (filter/balance.py), or None
        self.service: Any = None

    def matches(self, iface: Any, half: Half) -> bool:
        """Return True if the first packet of a connection matches."""
        if self.iface is not None and self.iface is not iface:
            return False
        if self.proto != 0 and self.proto != half.proto:
            return False
        if not in_prefix(half.src, self.src, self.src_mask) or not in_prefix(half.dst, self.dst, self.dst_mask):
            return False
        if self.port_low == 0 and self.port_high == 65535:
            return True
        if half.proto != C.IPPROTO_TCP and half.proto != C.IPPROTO_UDP:
            return False
        return self.port_low <= half.dport <= self.port_high


def in_prefix(number: int, prefix: int, mask: int) -> bool:
    """Return True if the bits of the mask agree."""
    return (number & mask) == prefix


class Mapping:
    """The connections that share a source, or that share an external address and port: the newest last (RFC 4787 4.1).

    `peers` counts them by the address of the other host, for address-dependent filtering.
    """

    def __init__(self) -> None:
        self.entries: OrderedDict[int, Tracked] = OrderedDict()
        self.peers: dict[int, int] = {}

    def newest(self) -> Any:
        """Return the newest connection."""
        return next(reversed(self.entries.values()))


class Nat:
    """The rules of one host by place, and its mappings, by their keyed hash."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.rules: list[list[NatRule]] = [[], [], [], [], []]
        #: the nat chains of an nftables ruleset by place (filter/nft), which come after the rules
        self.chains: list[list[Any]] = [[], [], [], [], []]
        self.internal: dict[int, Mapping] = {}
        self.external: dict[int, Mapping] = {}
        self.work = Half(None, 0)
        self.answer = Half(None, 0)
        self.shown = Half(None, 0)

    # Mappings.

    def _key(self, addr: int, port: int, proto: int) -> Any:
        return self.core.rng.keyed_flow(addr, port, 0, 0, proto)

    def find_internal(self, src: int, sport: int, proto: int) -> Any:
        """Return the Mapping of an internal address and port, or None."""
        mapping: Mapping | None = self.internal.get(self._key(src, sport, proto))
        if mapping is None:
            return None
        entry: Tracked = mapping.newest()
        half = entry.original
        return mapping if half.src == src and half.sport == sport and half.proto == proto else None

    def find_external(self, addr: int, port: int, proto: int) -> Any:
        """Return the Mapping of an external address and port, or None."""
        mapping: Mapping | None = self.external.get(self._key(addr, port, proto))
        if mapping is None:
            return None
        entry: Tracked = mapping.newest()
        half = self.shown
        half.mirror(entry.reply)
        return mapping if half.src == addr and half.sport == port and half.proto == proto else None

    def hold(self, entry: Tracked) -> None:
        """Remember how the source of a new connection was translated."""
        if entry.original.proto not in (C.IPPROTO_TCP, C.IPPROTO_UDP, C.IPPROTO_ICMP):
            return
        half = self.shown
        half.mirror(entry.reply)
        entry.mapped = True
        self._add(self.internal, self._key(entry.original.src, entry.original.sport, half.proto), entry, half.dst)
        self._add(self.external, self._key(half.src, half.sport, half.proto), entry, half.dst)

    def release(self, entry: Tracked) -> None:
        """Forget how the source of a connection was translated. The mapping ends with its last connection (RFC 4787 4.3)."""
        half = self.shown
        half.mirror(entry.reply)
        entry.mapped = False
        self._take(self.internal, self._key(entry.original.src, entry.original.sport, half.proto), entry, half.dst)
        self._take(self.external, self._key(half.src, half.sport, half.proto), entry, half.dst)

    def _add(self, table: dict[int, Mapping], place: Any, entry: Tracked, peer: int) -> None:
        mapping: Mapping | None = table.get(place)
        if mapping is None:
            mapping = Mapping()
            table[place] = mapping
        mapping.entries[entry.ident] = entry
        name = key(peer)
        mapping.peers[name] = mapping.peers.get(name, 0) + 1

    def _take(self, table: dict[int, Mapping], place: Any, entry: Tracked, peer: int) -> None:
        mapping: Mapping | None = table.get(place)
        if mapping is None or mapping.entries.pop(entry.ident, None) is None:
            return
        if len(mapping.entries) == 0:
            table.pop(place, None)
            return
        name = key(peer)
        left = mapping.peers.get(name, 1) - 1
        if left > 0:
            mapping.peers[name] = left
        else:
            mapping.peers.pop(name, None)

    # The choice (Linux nf_nat_core get_unique_tuple).

    def used(self, half: Half, entry: Tracked, source: bool) -> bool:
        """Return True if another connection or mapping has the address and port of `half`."""
        ct: Conntrack = self.core.conntrack
        self.answer.mirror(half)
        if ct.taken(self.answer, entry):
            return True
        if not source or not self.core.config.nat_endpoint_independent:
            return False
        # RFC 4787 4.2.1 (REQ-3): two internal endpoints must not share an external port.
        mapping: Mapping | None = self.find_external(half.src, half.sport, half.proto)
        if mapping is None:
            return False
        holder: Tracked = mapping.newest()
        old = entry.original
        return holder.original.src != old.src or holder.original.sport != old.sport

    def _used_harder(self, half: Half, entry: Tracked, source: bool) -> bool:
        """As `used`, but a connection that has ended gives up its port to one with later numbers (RFC 6191 2).

        Linux compares the numbers of the states here, so a connection that two SYNs opened gives way, too.
        """
        if not self.used(half, entry, source):
            return False
        ct: Conntrack = self.core.conntrack
        answer = self.answer
        found: Half | None = ct.find(answer.src, answer.sport, answer.dst, answer.dport, answer.proto)
        if found is None or found.direction == C.CT_ORIGINAL:
            return True
        old: Tracked = found.entry
        if old.tcp is None or entry.tcp is None or old.tcp.state < C.TCT_TIME_WAIT:
            return True
        if not seq_gt(entry.tcp.original.end, old.tcp.original.end):
            return True
        ct.destroy(old, "it has ended, and another connection needs its port")
        return False

    def choose(self, entry: Tracked, half: Half, choice: Range, source: bool) -> bool:
        """Change `half`, the form in which the packet would leave, to one that `choice` allows and nobody uses.

        Returns False if there is none. A destination that is used by others is no failure, because the source port may
        still change.
        """
        if source and not choice.fully_random:
            old = entry.original
            mapping: Mapping | None = None
            if not in_range(half, choice, True) or self.core.config.nat_endpoint_independent:
                mapping = self.find_internal(old.src, old.sport, old.proto)
            elif not self.used(half, entry, True):
                return True
            if mapping is not None and self._reuse(entry, half, choice, mapping):
                return True
        self._choose_address(half, choice, source)
        if not choice.fully_random:
            # Linux never refuses the only port of a rule. RFC 4787 4.2.1 (REQ-3) does, if it belongs to another host.
            single = choice.port_low == choice.port_high and not (source and self.core.config.nat_endpoint_independent)
            if choice.port_low == 0 or in_range(half, choice, source):
                if (choice.port_low != 0 and single) or not self.used(half, entry, source):
                    return True
        return self._choose_port(entry, half, choice, source) or not source

    def _reuse(self, entry: Tracked, half: Half, choice: Range, mapping: Mapping) -> bool:
        """Try a mapping that the same internal address and port has already: the newest one in the range."""
        src = half.src
        sport = half.sport
        shown = self.shown
        left = MAPPINGS
        for item in reversed(mapping.entries.values()):
            other: Tracked = item
            shown.mirror(other.reply)
            half.src = shown.src
            half.sport = shown.sport
            if in_range(half, choice, True):
                if not self.used(half, entry, True):
                    return True
                break
            left -= 1
            if left == 0:
                break
        half.src = src
        half.sport = sport
        return False

    def _choose_address(self, half: Half, choice: Range, source: bool) -> None:
        """Take an address of the range. The same hosts always get the same one (RFC 4787 4.1, REQ-2: "Paired")."""
        number = choice.low
        if number == 0:
            return
        if choice.high > choice.low:
            count = choice.high - choice.low + 1
            same = self.core.config.nat_endpoint_independent or choice.persistent
            other = 0 if same or not source else half.dst
            number += self.core.rng.keyed_flow(half.src, 0, other, 0, 0) % count
        if source:
            half.src = number
        else:
            half.dst = number

    def _choose_port(self, entry: Tracked, half: Half, choice: Range, source: bool) -> bool:
        """Take a free port. Returns False if none was found, as the ports of the range are in use or too many are."""
        if half.proto not in (C.IPPROTO_TCP, C.IPPROTO_UDP, C.IPPROTO_ICMP):
            return not self.used(half, entry, source)
        if half.proto == C.IPPROTO_ICMP and not source:
            return True
        low = choice.port_low
        size = choice.port_high - low + 1
        if low == 0:
            if half.proto == C.IPPROTO_ICMP:
                size = 65536
            elif not source:
                return True
            elif half.sport < 512:
                # RFC 4787 4.2.1 (REQ-3 a): well-known ports stay well-known ports.
                low, size = 1, 511
            elif half.sport < 1024:
                low, size = 600, 424
            else:
                low, size = 1024, 64512
        rng = self.core.rng
        at = rng.below(65536) if source or choice.fully_random else 0
        attempts = size if size < ATTEMPTS else ATTEMPTS
        while True:
            for i in range(attempts):
                port = low + at % size
                at += 1
                if source:
                    half.sport = port
                else:
                    half.dport = port
                if attempts - i > HARDER:
                    taken = self.used(half, entry, source)
                else:
                    taken = self._used_harder(half, entry, source)
                if not taken:
                    return True
            if attempts >= size or attempts < 16:
                return False
            attempts //= 2
            at = rng.below(65536)


def in_range(half: Half, choice: Range, source: bool) -> bool:
    """Return True if the source or the destination lies in the range."""
    number = half.src if source else half.dst
    port = half.sport if source or half.proto == C.IPPROTO_ICMP else half.dport
    if choice.low != 0 and not choice.low <= number <= choice.high:
        return False
    return choice.port_low == 0 or choice.port_low <= port <= choice.port_high


def range_text(choice: Range) -> str:
    """Return a range for people."""
    text = addr_text(choice.low) if choice.low != 0 else ""
    if choice.high != choice.low:
        text += "-" + addr_text(choice.high)
    if choice.port_low != 0:
        text += f":{choice.port_low}"
        if choice.port_high != choice.port_low:
            text += f"-{choice.port_high}"
    return text
