"""The forwarding table of a bridge: the port at which each MAC address was last seen (IEEE 802.1D 7.8 and 7.9).

The simulator's switch and bridge use it. A port can be any object. Each VLAN has addresses of its own (independent learning, IEEE
802.1Q 8.8); without VLANs, the number of the VLAN is 0.
"""

from typing import Any

#: an address that was not seen for this many ns is removed (300 s, IEEE 802.1D table 7-5)
AGEING_TIME = 300_000_000_000
#: the most addresses that are learned, so that a flood of forged sources cannot use more memory
MAX_LEARNED = 16_384
#: what `learn` found: an address behind its port, or a new one, one that was behind another port, or no room in the table
KNOWN, NEW, MOVED, FULL = range(4)


class ForwardingEntry:
    """One address: its port, the time in ns when it was last seen, whether it was set by hand, and its VLAN."""

    __slots__ = ("port", "seen", "static", "vid")

    def __init__(self, port: Any, seen: int, static: bool, vid: int = 0) -> None:
        self.port = port
        self.seen = seen
        self.static = static
        self.vid = vid


def key_of(mac: bytes, vid: int) -> bytes:
    """Return the key of an address in a VLAN."""
    return mac + vid.to_bytes(2, "big") if vid else mac


class ForwardingTable:
    """MAC addresses (6 bytes) and their ports.

    `ageing` is in nanoseconds; 0 keeps addresses forever. `refused`
    counts addresses that were not learned because the table was full.
    """

    def __init__(self, ageing: int = AGEING_TIME, limit: int = MAX_LEARNED) -> None:
        if ageing < 0 or limit < 0:
            raise ValueError(f"the ageing time {ageing} and the limit {limit} must not be negative")
        self.ageing = ageing
        self.limit = limit
        self.refused = 0
        self.entries: dict[bytes, ForwardingEntry] = {}

    def learn(self, mac: bytes, port: Any, now: int, vid: int = 0) -> int:
        """Learn that a frame from `mac` arrived on `port`. Returns KNOWN, or NEW, MOVED or FULL.

        Group addresses and static entries do not change (802.1D 7.8).
        """
        if mac[0] & 1:
            return KNOWN
        found = KNOWN
        key = key_of(mac, vid) if vid else mac
        entry = self.entries.get(key)
        if entry is None:
            if len(self.entries) >= self.limit and not self._make_room(now):
                self.refused += 1
                return FULL
            self.entries[key] = ForwardingEntry(port, now, False, vid)
            return NEW
        if not entry.static:
            if entry.port is not port:
                found = NEW if self._is_old(entry, now) else MOVED
                entry.port = port
            if entry.seen != now:
                # Move the entry to the end, so that the dict stays in the order in which addresses were last seen.
                entry.seen = now
                del self.entries[key]
                self.entries[key] = entry
        return found

    def lookup(self, mac: bytes, now: int, vid: int = 0) -> Any:
        """Return the port of an address, or None if the frame must go to every other port (802.1D 7.7.2)."""
        if mac[0] & 1:
            return None
        key = key_of(mac, vid) if vid else mac
        entry = self.entries.get(key)
        if entry is None:
            return None
        if self._is_old(entry, now):
            del self.entries[key]
            return None
        return entry.port

    def set_static(self, mac: bytes, port: Any, vid: int = 0) -> None:
        """Set an entry that neither learning nor ageing changes (802.1D 7.9.1).

        ValueError for a group address, because `lookup` would never use the entry (Linux keeps it, and does not use it either), and for
        an address of zeros, as in Linux.
        """
        if mac[0] & 1 or not any(mac):
            raise ValueError(f"{mac.hex(':')} is not a unicast address: a static entry is for one station")
        self.entries[key_of(mac, vid)] = ForwardingEntry(port, 0, True, vid)

    def remove(self, mac: bytes, vid: int = 0) -> bool:
        """Remove an entry, static or not. Returns False if there is none."""
        return self.entries.pop(key_of(mac, vid), None) is not None

    def current(self, now: int) -> list[tuple[bytes, ForwardingEntry]]:
        """Return the addresses that have not aged, with their entries, in the order in which they were last seen."""
        return [(key[:6], entry) for key, entry in self.entries.items() if not self._is_old(entry, now)]

    def forget_port(self, port: Any) -> None:
        """Remove a port and all of its addresses."""
        self.entries = {mac: entry for mac, entry in self.entries.items() if entry.port is not port}

    def _is_old(self, entry: ForwardingEntry, now: int) -> bool:
        return not entry.static and self.ageing > 0 and now - entry.seen > self.ageing

    def _make_room(self, now: int) -> bool:
        """Remove the least recently seen entry, if it is old.

        The work is constant for each frame, apart from static entries.
        """
        for mac, entry in self.entries.items():
            if entry.static:
                continue
            if not self._is_old(entry, now):
                return False
            del self.entries[mac]
            return True
        return False
