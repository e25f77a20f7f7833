"""An interface of the kernel as the stack's network card, by a packet socket (packet(7)).

The kernel's own stack gets the same frames, and answers them, too, if it has an address on the interface.
"""

import errno
import os
import struct
from _socket import AF_PACKET, SO_RCVBUF, SOCK_RAW, SOL_SOCKET, if_nametoindex
from _socket import socket as KernelSocket
from typing import Self

import pystack_c.const as C
from pystack.kernel import netns as ns
from pystack.phy.device import random_mac
from pystack.phy.tap import GSO_MAX, MAX_FRAME
from pystack.phy.tapio import DATA_VALID, GSO_ECN, GSO_NONE, GSO_TCPV4, NEEDS_CSUM, VNET_HDR, VNET_HDR_LEN, FrameIO
from pystack_c.packet import Transmit

# linux/if_ether.h, linux/if_packet.h
ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_AUXDATA = 8
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
PACKET_MR_PROMISC = 1
TP_STATUS_VLAN_VALID = 1 << 4
TP_STATUS_VLAN_TPID_VALID = 1 << 6
#: struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid
_AUXDATA = struct.Struct("=IIIHHHH")
_BAD = 64


class PacketDevice:
    """An interface such as "eth0" or one end of a veth pair. It must be up.

    ifname  the interface's name
    netns   its namespace: a `netns.Namespace`, or None for the current one
    mac     the stack's MAC address; None generates one, so that a switch can distinguish the stack from the kernel
    buffer  the size of the receive buffer in bytes that is requested

    The interface becomes promiscuous while the device is open. The kernel passes on and accepts frames of up to 64 KB
    with incomplete checksums, as for a TAP. Copies of what this machine sends on the interface are not received.

    rx_errors   frames that were too short, or cut in a way that the stack does not know
    tx_errors   frames that the kernel rejected, or that were sent while the interface was down
    """

    kind = C.LINK_ETHERNET
    tx_csum = True
    gso_max = GSO_MAX

    def __init__(
        self, ifname: str, netns: "ns.Namespace | None" = None, *, mac: int | None = None, buffer: int = 4 << 20
    ):
        self.name = ifname
        self.netns = netns
        self.mac = random_mac() if mac is None else mac
        self.rx_errors = 0
        self.tx_errors = 0
        self._sock: KernelSocket = ns.call(netns, _open, ifname, buffer)
        try:
            self.mtu = ns.get_mtu(ifname, netns)
        except BaseException:
            self._sock.close()
            raise
        # It is not named frame_io, because the driver would then read frames without their VLAN tags.
        self._io = FrameIO(self._sock.fileno(), VNET_HDR_LEN + MAX_FRAME, True)

    def fileno(self) -> int:
        """Return the socket's descriptor, or -1 if it is closed."""
        return self._sock.fileno()

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """Return the next frame as (frame, offset, flags, gso_size), or None if no frame waits."""
        for _ in range(_BAD):
            try:
                frame, control, _, _ = self._sock.recvmsg(VNET_HDR_LEN + MAX_FRAME, 64)
            except BlockingIOError:
                return None
            except OSError as exc:
                self._excuse(exc)
                continue
            if len(frame) < VNET_HDR_LEN + 14:
                self.rx_errors += 1
                continue
            flags, gso_type, _, gso_size, _, _ = VNET_HDR.unpack_from(frame)
            if gso_type & ~GSO_ECN not in (GSO_NONE, GSO_TCPV4):
                self.rx_errors += 1
                continue
            tag = _vlan_tag(control)
            if tag:
                frame = frame[: VNET_HDR_LEN + 12] + tag + frame[VNET_HDR_LEN + 12 :]
            ok = C.RX_CSUM_OK if flags & (NEEDS_CSUM | DATA_VALID) else 0
            return frame, VNET_HDR_LEN, ok, gso_size if gso_type else 0
        return None

    def _excuse(self, exc: OSError) -> None:
        """Count an error that concerns one frame, or that says that the interface is down. Raise any other."""
        if exc.errno == errno.ENETDOWN:
            if not self._sock.getsockname()[0]:
                raise OSError(errno.ENODEV, f"the interface {self.name} is gone") from exc
        elif exc.errno != errno.EINVAL:
            raise exc
        self.rx_errors += exc.errno == errno.EINVAL

    def send(self, tx: Transmit) -> bool:
        """Send one frame. Returns False if there is no room. A frame that the kernel rejects is counted and lost."""
        code = self._io.send(tx)
        if code in (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM):
            return False
        if code in (errno.ENETDOWN, errno.EINVAL, errno.EMSGSIZE, errno.EIO):
            self.tx_errors += 1
        elif code != 0:
            raise OSError(code, os.strerror(code))
        return True

    def close(self) -> None:
        """Close the socket; the interface is no longer promiscuous then. A second call does nothing."""
        self._io.fd = -1
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<PacketDevice {self.name} mtu {self.mtu} fd {self.fileno()}>"


def _open(ifname: str, buffer: int) -> KernelSocket:
    """Return a packet socket on the interface. It receives nothing of other interfaces, not even before it is bound."""
    try:
        sock = KernelSocket(AF_PACKET, SOCK_RAW, 0)
    except PermissionError as exc:
        text = f"a packet socket on {ifname!r} needs CAP_NET_RAW in its namespace (run as root, or under unshare -Urn)"
        raise PermissionError(exc.errno, text) from None
    try:
        sock.setblocking(False)
        try:
            index = if_nametoindex(ifname)
        except OSError:
            raise OSError(errno.ENODEV, f"there is no interface {ifname!r}") from None
        sock.setsockopt(SOL_SOCKET, SO_RCVBUF, buffer)
        for option in (PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING):
            sock.setsockopt(SOL_PACKET, option, 1)
        membership = struct.pack("=iHH8x", index, PACKET_MR_PROMISC, 0)
        sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
        sock.bind((ifname, ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    return sock


def _vlan_tag(control: list[tuple[int, int, bytes]]) -> bytes:
    """Return the VLAN tag that the kernel took out of the frame, or b""."""
    for level, kind, data in control:
        if level == SOL_PACKET and kind == PACKET_AUXDATA and len(data) >= _AUXDATA.size:
            status, _, _, _, _, tci, tpid = _AUXDATA.unpack_from(data)
            if status & TP_STATUS_VLAN_VALID:
                return struct.pack("!HH", tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100, tci)
    return b""
