"""Interfaces, their addresses, and the offloads that a device offers."""

from collections import OrderedDict
from typing import Any

from pystack_c.base.address import broadcast_of, length_of, prefix_mask


class LocalAddr:
    """One address of this host."""

    def __init__(self, addr: int, prefixlen: int, iface: Any) -> None:
        self.addr = addr
        self.prefixlen = prefixlen
        #: of 128 bits, whatever the family
        self.mask = prefix_mask(length_of(addr, prefixlen))
        #: the directed broadcast address, or 255.255.255.255
        self.broadcast = broadcast_of(addr, prefixlen)
        self.iface = iface


class Iface:
    """One network interface of a stack, with its kind of link, MAC address, MTU, addresses and neighbours."""

    def __init__(self, index: int, name: str, kind: int, mac: int, mtu: int) -> None:
        self.index = index
        self.name = name
        self.kind = kind
        self.mac = mac
        self.mtu = mtu
        self.up = True
        self.tx_csum = False
        self.gso_max = 0
        self.addrs: list[LocalAddr] = []
        self.neighbors: dict[int, Any] = {}
        # the neighbours without a MAC address, in the order in which they reached that state: INCOMPLETE, FAILED
        self.asked: OrderedDict[int, Any] = OrderedDict()
        self.failed: OrderedDict[int, Any] = OrderedDict()
        self.rx_frames = 0
        self.rx_bytes = 0
        self.tx_frames = 0
        self.tx_bytes = 0
        self.defended = -1
        #: the multicast groups that sockets joined, each an ip.igmp.Group; and the ip.igmp.IgmpLink of the interface, or None
        self.groups: dict[int, Any] = {}
        self.igmp: Any = None
        #: of an interface for one VLAN: the VLAN (else 0), and the interface whose frames carry its tag
        self.vid = 0
        self.parent: Any = None
        #: VLAN -> the interface for it, or None if there is none
        self.vlans: dict[int, Any] | None = None
