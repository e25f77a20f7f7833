"""Packet sockets (AF_PACKET, Linux packet(7)): copies of the frames that the host receives and sends, and frames of an application.

A SOCK_RAW socket receives and sends frames with the link header, and a SOCK_DGRAM socket without it. A device without a
link header gives the same with both. On lo, a frame has an Ethernet header of zeros in front of the packet, as on Linux.

The table of these sockets is RawTable.packets, and it is None while there is no such socket.
"""

import errno
import struct
from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.filter import cbpf
from pystack_c.iface import Iface
from pystack_c.packet import Packet, Transmit
from pystack_c.sockets import datagram, dgramopt, sockopt
from pystack_c.sockets.datagram import DatagramSocket
from pystack_c.sockets.raw import RawTable
from pystack_c.sockets.record import Datagram
from pystack_c.wire import ethernet

AF_PACKET = 17
SOCK_DGRAM, SOCK_RAW = 2, 3
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_DROP_MEMBERSHIP, PACKET_STATISTICS = 1, 2, 6
HOST, BROADCAST, MULTICAST, OTHERHOST, OUTGOING = 0, 1, 2, 3, 4
ETH_P_802_3, ETH_P_ALL, ETH_P_802_2, ETH_P_IPV6 = 0x0001, 0x0003, 0x0004, 0x86DD
#: the types of devices (linux/if_arp.h)
HATYPES = {C.LINK_ETHERNET: 1, C.LINK_IP: 0xFFFE, C.LINK_LOOPBACK: 772}
_RFC = "Linux packet(7)"
_MREQ = struct.Struct("=iHH8s")
#: the bytes that a queued frame is charged besides its data (sockets/datagram.py charges the same)
_OVERHEAD = 256


class PacketSocket(DatagramSocket):
    """One packet socket. `proto` is the Ethernet type that it takes; ETH_P_ALL takes all, and 0 takes none."""

    def __init__(self, core: Any, ident: int, kind: int, proto: int) -> None:
        DatagramSocket.__init__(self, core, ident)
        self.kind = kind
        self.proto = proto
        #: the interface to which the application bound the socket, or None
        self.link: Iface | None = None
        #: the frames since the last PACKET_STATISTICS: those that were queued, and those that the full queue refused
        self.taken = 0
        self.refused = 0

    def subject(self) -> str:
        """Return a short name for events."""
        return f"packet {self.proto:#06x}"


class PacketTable:
    """The packet sockets of a host. `sender` is the one that is sending, which gets no copy of its own frame."""

    def __init__(self) -> None:
        self.sockets: dict[int, PacketSocket] = {}
        self.sender: PacketSocket | None = None
        self.pkt = Packet()

    def received(self, core: Core, iface: Iface, frame: bytes, offset: int) -> None:
        """Give a frame that arrived to the sockets. It begins at `offset`."""
        data = frame[offset:] if offset else frame
        if iface.kind != C.LINK_ETHERNET:
            self._give(core, iface, data, HOST)
        elif len(data) >= C.ETH_HLEN:
            dst = int.from_bytes(data[:6], "big")
            kind = HOST
            if data[0] & 1:
                kind = BROADCAST if dst == ethernet.BROADCAST else MULTICAST
            elif dst != iface.mac:
                kind = OTHERHOST
            self._give(core, iface, data, kind)

    def sent(self, core: Core, tx: Transmit) -> None:
        """Give a frame that leaves the host to the sockets for ETH_P_ALL."""
        self._give(core, tx.iface, tx.to_bytes(), OUTGOING)

    def _give(self, core: Core, iface: Iface, data: bytes, pkttype: int) -> None:
        pkt = self.pkt
        if iface.kind == C.LINK_LOOPBACK:
            data = _lo_header(data) + data
        pkt.ip_off = 0 if iface.kind == C.LINK_IP else C.ETH_HLEN
        pkt.frame = data
        pkt.end = len(data)
        pkt.eth_type = _type_of(data, iface)
        # Ancillary data of filters: no IP header was parsed, so the next two fields are the packet socket's (filter/cbpf.py).
        pkt.proto = -1
        pkt.dst_kind = pkttype
        for ep in list(self.sockets.values()):
            if ep.proto != ETH_P_ALL and (ep.proto != pkt.eth_type or pkttype == OUTGOING):
                continue
            if ep is not self.sender and (ep.link is None or ep.link is iface):
                self._queue(core, iface, ep, pkttype)
        pkt.frame = b""

    def _queue(self, core: Core, iface: Iface, ep: PacketSocket, pkttype: int) -> None:
        pkt = self.pkt
        start = pkt.ip_off if ep.kind == SOCK_DGRAM else 0
        end = pkt.end
        if ep.filter is not None:
            size = cbpf.run(ep.filter, core, iface, pkt, start, end)
            if size == 0:
                return  # the copy was not wanted; the frame itself goes on
            end = min(end, start + size)
        if ep.queued_bytes + end - start + _OVERHEAD > ep.rcvbuf:
            ep.dropped += 1
            ep.refused += 1
            core.drop("packet-queue-full", ep.subject(), "the receive buffer of a packet socket is full", _RFC)
            return
        found = Datagram(pkt.frame[start:end], 0, pkt.eth_type, 0, iface, pkttype, HATYPES[iface.kind])
        found.options = b"" if iface.kind == C.LINK_IP else pkt.frame[6:12]
        found.stamp = core.now
        ep.taken += 1
        ep.queue.append(found)
        ep.queued_bytes += len(found.data) + _OVERHEAD
        if core.probe is not None and pkttype != OUTGOING:
            core.emit(
                "raw.in", ep.subject(), ep.ident, "a packet socket gets a copy", _RFC, {"length": len(found.data)}
            )
        ep.wake(C.EV_IN)

    def down(self, iface: Iface) -> None:
        """An interface was set down: the sockets that are bound to it get ENETDOWN once."""
        for ep in list(self.sockets.values()):
            if ep.link is iface:
                ep.fail(errno.ENETDOWN)


def _lo_header(packet: bytes) -> bytes:
    """Return the link header that Linux shows on lo."""
    return bytes(12) + _version_type(packet).to_bytes(2, "big")


def _version_type(packet: bytes) -> int:
    """Return the Ethernet type of an IP packet."""
    return ETH_P_IPV6 if packet and packet[0] >> 4 == 6 else C.ETH_P_IP


def _type_of(data: bytes, iface: Iface) -> int:
    """Return a frame's protocol: its Ethernet type, or one of the two numbers for a length (Linux's eth_type_trans)."""
    if iface.kind == C.LINK_IP:
        return _version_type(data)
    kind = int.from_bytes(data[12:14], "big")
    if kind >= 0x600:
        return kind
    return ETH_P_802_3 if data[14:16] == b"\xff\xff" else ETH_P_802_2


def packet_open(core: Core, kind: int, proto: int, now: int) -> PacketSocket:
    """Open a socket(AF_PACKET, SOCK_RAW or SOCK_DGRAM, proto). Here and below, `proto` is in the host's byte order."""
    core.now = now
    if kind not in (SOCK_DGRAM, SOCK_RAW):
        raise OSError(errno.ESOCKTNOSUPPORT, f"a packet socket has type SOCK_RAW or SOCK_DGRAM, not {kind}")
    if core.raw is None:
        core.raw = RawTable()
    if core.raw.packets is None:
        core.raw.packets = PacketTable()
    ep = PacketSocket(core, core.new_ident(), kind, proto)
    core.endpoints[ep.ident] = ep
    core.raw.packets.sockets[ep.ident] = ep
    return ep


def _iface(core: Core, index: int, code: int) -> Iface:
    if not 0 < index <= len(core.ifaces):
        raise OSError(code, f"there is no interface with the index {index}")
    return core.ifaces[index - 1]


def bind(ep: PacketSocket, index: int, proto: int, now: int) -> None:
    """Bind to an interface (0: all) and a protocol (0: the one that the socket has)."""
    core: Core = datagram.begin(ep, now)
    link = None if index == 0 else _iface(core, index, errno.ENODEV)
    ep.link = link
    if proto != 0:
        ep.proto = proto
    if link is not None and not link.up:
        ep.fail(errno.ENETDOWN)


def sendto(ep: PacketSocket, data: bytes, index: int, proto: int, addr: bytes | None, flags: int, now: int) -> int:
    """Send one frame. SOCK_RAW: `data` is all of it. SOCK_DGRAM: to the link address `addr`, with the protocol `proto`.

    Index -1 means that there is no address: the interface and protocol are those of bind.
    """
    core: Core = datagram.begin(ep, now)
    if index < 0:
        iface = ep.link
        proto = ep.proto
        if iface is None:
            raise OSError(errno.ENXIO, "the socket is not bound to an interface, and there is no address")
    else:
        iface = _iface(core, index, errno.ENXIO)
    if not iface.up:
        raise OSError(errno.ENETDOWN, f"the interface {iface.name} is down")
    header = 0 if iface.kind == C.LINK_IP else C.ETH_HLEN
    raw = ep.kind == SOCK_RAW
    if len(data) > iface.mtu + (header if raw else 0):
        raise OSError(errno.EMSGSIZE, f"{len(data)} bytes do not fit into a frame of {iface.name}")
    if not raw and iface.kind == C.LINK_ETHERNET:
        if addr is None:
            raise OSError(errno.EINVAL, "there is no link address to send to")
        # Linux does not check the length of the address. Missing bytes are 0.
        data = ethernet.header(int.from_bytes(addr[:6].ljust(6, b"\0"), "big"), iface.mac, proto) + data
    elif raw and len(data) < header:
        raise OSError(errno.EINVAL, f"{len(data)} bytes are shorter than a link header")
    size = len(data)
    if iface.kind == C.LINK_LOOPBACK:
        if raw:
            proto = int.from_bytes(data[12:14], "big")
            data = data[header:]
        if proto != C.ETH_P_IP:
            core.drop("eth-unknown-type", iface.name, "lo carries only IPv4", _RFC)
            return size
    table: PacketTable = core.raw.packets
    table.sender = ep
    try:
        core.transmit(Transmit(iface, data))
    finally:
        table.sender = None
    return size


def recvfrom(ep: PacketSocket, flags: int, now: int) -> Any:
    """Return the next frame or None, as a Datagram.

    Of its fields, `sport` is the protocol, `ttl` the packet type, `tos` the type of the device and `options` the link address.
    """
    return datagram.recvfrom(ep, flags, now)


def close(ep: PacketSocket, now: int) -> None:
    """Close the socket. Closing it again does nothing."""
    if ep.closed:
        return
    core: Core = ep.core
    core.now = now
    table: PacketTable = core.raw.packets
    table.sockets.pop(ep.ident, None)
    if not table.sockets:
        core.raw.packets = None
    datagram.cleanup(ep)


def setsockopt(ep: PacketSocket, level: int, name: int, value: Any, now: int) -> None:
    """Set an option, as setsockopt(2): a membership, or an option of level SOL_SOCKET.

    A membership is checked and has no effect: the stack's devices pass every frame to it, and so the sockets see them all.
    """
    core: Core = datagram.begin(ep, now)
    if level == SOL_PACKET and name in (PACKET_ADD_MEMBERSHIP, PACKET_DROP_MEMBERSHIP):
        if not isinstance(value, bytes) or len(value) < _MREQ.size:
            raise OSError(errno.EINVAL, "the option takes a struct packet_mreq")
        if name == PACKET_ADD_MEMBERSHIP:
            index, _, length, _ = _MREQ.unpack_from(value)
            iface = _iface(core, index, errno.ENODEV)
            if length > (0 if iface.kind == C.LINK_IP else 6):
                raise OSError(errno.EINVAL, "the link address is too long")
    elif level != sockopt.SOL_SOCKET or not dgramopt.setsockopt(core, ep, level, name, value):
        raise sockopt.bad_option()


def getsockopt(ep: PacketSocket, level: int, name: int, now: int) -> Any:
    """Return an option's value (int or bytes), as getsockopt(2). PACKET_STATISTICS begins again at 0 afterwards."""
    datagram.begin(ep, now)
    if level == SOL_PACKET and name == PACKET_STATISTICS:
        found = struct.pack("=II", (ep.taken + ep.refused) & 0xFFFFFFFF, ep.refused & 0xFFFFFFFF)
        ep.taken = ep.refused = 0
        return found
    value = dgramopt.getsockopt(ep, level, name) if level == sockopt.SOL_SOCKET else None
    if value is None:
        raise sockopt.bad_option()
    return value
