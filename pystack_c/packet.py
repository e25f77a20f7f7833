"""The records that travel between the layers: a parsed frame on its way up, a finished frame on its way down."""

from typing import Any

import pystack_c.const as C


def cut(data: bytes, begin: int, end: int) -> bytes:
    """Return a copy of data[begin:end]. The caller has checked the bounds."""
    p = data
    return p[begin:end]


class Packet:
    """A received frame, parsed once: each layer's codec fills in its fields, and later layers read them.

    Offsets count in bytes from the start of `frame`. A stack reuses one Packet for all frames, one after the
    other. Code that keeps data must keep `frame` itself (bytes, immutable) and the offsets.
    """

    def __init__(self) -> None:
        self.frame = b""
        self.flags = 0
        self.gso_size = 0
        self.end = 0
        # Ethernet
        self.l2_off = 0
        self.eth_dst = 0
        self.eth_src = 0
        self.eth_type = 0
        self.l2_group = False
        # IPv4
        self.ip_off = 0
        self.ip_hlen = 0
        #: bytes of options in the network header
        self.ip_options = 0
        self.src = 0
        self.dst = 0
        self.proto = 0
        self.ttl = 0
        self.tos = 0
        self.ident = 0
        self.df = False
        self.mf = False
        self.frag_off = 0
        self.total_len = 0
        #: the mark (SO_MARK and nftables' `meta mark`), by which rules choose a table of routes
        self.mark = 0
        self.dst_kind = C.DST_UNICAST
        # transport: [l4_off, l4_end) is the IP payload, [data_off, l4_end) the transport's payload
        self.l4_off = 0
        self.l4_end = 0
        self.data_off = 0
        self.sport = 0
        self.dport = 0
        # TCP
        self.seq = 0
        self.ack = 0
        self.tcp_flags = 0
        self.window = 0
        self.urg = 0
        self.opt_mss = -1
        self.opt_wscale = -1
        self.opt_sack_ok = False
        self.opt_ts = False
        self.tsval = 0
        self.tsecr = 0
        self.sack: Any = None
        self.opt_fastopen: bytes | None = None
        self.opt_fastopen_exp = False
        # the AccECN option (RFC 9768): its order (-1: none), and how many of its fields are present
        self.acc_order = -1
        self.acc_count = 0
        self.acc_first = 0
        self.acc_ceb = 0
        self.acc_last = 0
        self._no_message()

    def _no_message(self) -> None:
        """Reset the fields of ICMP and ARP."""
        # ICMP: type, code, and the 32 bits after the checksum
        self.icmp_type = 0
        self.icmp_code = 0
        self.icmp_rest = 0
        # ARP (RFC 826's ar$op, ar$sha, ar$spa, ar$tha, ar$tpa)
        self.arp_op = 0
        self.arp_sha = 0
        self.arp_spa = 0
        self.arp_tha = 0
        self.arp_tpa = 0

    def data_len(self) -> int:
        """Return the number of bytes of transport payload."""
        return self.l4_end - self.data_off

    def segments(self) -> int:
        """Return the number of TCP segments on the wire. A device may have joined several into one packet."""
        if self.gso_size <= 0 or self.l4_end - self.data_off <= self.gso_size:
            return 1
        return (self.l4_end - self.data_off + self.gso_size - 1) // self.gso_size  # not 0: it is above 0 here


class Outgoing:
    """An IP packet on its way down: the transport fills it in, IP and the link read it.

    The transport header is core.scratch[L4_OFF : L4_OFF + l4_len], and `payload` (bytes, a memoryview, or None) follows
    it. A stack reuses one Outgoing for all packets, one after the other. `begin` gives every field its initial value.
    """

    def __init__(self) -> None:
        self.dst: Any = None
        self.payload: Any = None
        self.begin(None, 0, 0, 0)

    def begin(self, dst: Any, src: int, daddr: int, proto: int) -> None:
        """Start a packet of protocol `proto` from `src` to `daddr` on the route `dst` (a Dst)."""
        if self.dst is not dst:
            self.dst = dst
        self.src = src
        self.daddr = daddr
        self.proto = proto
        self.ttl = 64
        self.tos = 0
        #: DONT_FRAGMENT, LINK_MTU (use the link's MTU, not the path's), both, or 0
        self.df = 0
        #: the length in bytes of the transport header in the scratch buffer
        self.l4_len = 0
        if self.payload is not None:
            # IP clears the payload when it has sent the packet.
            self.payload = None
        #: > 0: the device cuts the payload into segments of this many bytes
        self.gso_size = 0
        #: > 0: the device completes the transport checksum at this offset; the field holds the pseudo-header's sum
        self.csum_offset = 0
        #: IP options, padded to whole words
        self.options = b""
        #: for a packet that is itself a fragment (RFC 791 3.2): identification, offset in bytes, more fragments
        self.ident = 0
        self.frag_off = 0
        self.mf = False
        #: the mark: that of the socket (SO_MARK), until a rule of the packet filter sets another one
        self.mark = 0
        #: a chain of the type route changed the packet, so that it must be routed anew
        self.reroute = False


class Transmit:
    """One frame to send: `header`, then `payload`, with the offload fields of virtio-net.

    `header` holds everything up to the payload, or the whole frame if `payload` is None. With
    `gso_size` > 0 the device cuts the payload into segments of that many bytes. With `csum_start` > 0
    the 16-bit field at csum_start + csum_offset holds only the pseudo-header's sum, and the device
    completes the checksum from csum_start to the end.
    """

    def __init__(self, iface: Any, header: bytes, payload: Any = None) -> None:
        self.fill(iface, header, payload)

    def fill(self, iface: Any, header: bytes, payload: Any) -> None:
        """Give every field its initial value."""
        self.iface = iface
        self.header = header
        self.payload = payload
        self.gso_size = 0
        self.csum_start = 0
        self.csum_offset = 0
        self.hdr_len = 0

    def __len__(self) -> int:
        if self.payload is None:
            return len(self.header)
        return len(self.header) + len(self.payload)

    def to_bytes(self) -> bytes:
        """Return the whole frame in one piece.

        The device has not yet done the checksum and segmentation described above.
        """
        if self.payload is None:
            return self.header
        if type(self.payload) is bytes:
            return self.header + self.payload
        return b"".join((self.header, self.payload))


def new_transmit(iface: Any, header: bytes, payload: Any) -> Transmit:
    """Create a Transmit without the cost of a Python-level constructor call."""
    tx: Transmit = Transmit.__new__(Transmit)
    tx.fill(iface, header, payload)
    return tx
