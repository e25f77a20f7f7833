"""Settings of everything below and beside TCP: IPv4, ICMP, neighbours, path MTUs, ports and datagram sockets.

The comment above each setting is its entry in docs/reference/settings.md: whole sentences, then `Unit:` and `Source:`.
"""

from pystack_c.settings.limits import S


class NetworkSettings:
    """The first group of a Config's settings."""

    def __init__(self) -> None:
        self._ip()
        self._icmp()
        self._neighbours()
        self._path_mtu()
        self._sockets()

    def _ip(self) -> None:  # python
        """IPv4"""
        #: The TTL of the packets that the stack sends, if the socket does not set one.
        #: Unit: hops. Source: RFC 1122 3.2.1.7; Linux ip_default_ttl.
        self.ip_default_ttl = 64
        #: The stack forwards packets between its interfaces.
        #: Source: RFC 1812; Linux ip_forward.
        self.ip_forward = False
        #: The stack follows source routes and answers along them.
        #: RFC 1122 wants this, RFC 7126 and Linux advise against it.
        #: Source: RFC 1122 3.2.1.8; RFC 7126 4.3; Linux accept_source_route.
        self.accept_source_route = False
        #: The largest MSS that a forwarded SYN may announce. With -1, the MSS is lowered to the size that both links
        #: carry. With 0, the stack leaves the SYN as it is.
        #: Unit: bytes.
        self.ip_forward_mss = 0
        #: The stack gives up the reassembly of a datagram after this time.
        #: Source: RFC 1122 3.3.2; Linux ipfrag_time.
        self.ipfrag_time = 30 * S
        #: The memory that all reassemblies may use together.
        #: Source: Linux ipfrag_high_thresh.
        self.ipfrag_high_thresh = 4 << 20
        #: The largest number of fragments that the stack keeps of one datagram.
        #: Unit: fragments.
        self.ipfrag_max_fragments = 256

    def _icmp(self) -> None:  # python
        """ICMP"""
        #: The number of ICMP errors that the stack sends to all hosts together. The
        #: stack draws the actual number from half to one and a half times this one,
        #: so that an attacker cannot count the errors. With 0, there is no limit.
        #: Unit: errors per second. Source: Linux icmp_msgs_per_sec.
        self.icmp_ratelimit = 1000
        #: The stack sends one ICMP error to each host in this time. The limit does not hold for Fragmentation Needed.
        #: With 0, there is no such limit.
        #: Source: RFC 1812 4.3.2.8; Linux icmp_ratelimit.
        self.icmp_peer_interval = 1 * S
        #: The number of ICMP errors that the stack may send to one
        #: host at once, before `icmp_peer_interval` holds them back.
        #: Unit: errors.
        self.icmp_burst = 6
        #: The stack does not answer pings to a broadcast address.
        #: Source: RFC 1122 3.2.2.6; Linux icmp_echo_ignore_broadcasts.
        self.icmp_echo_ignore_broadcasts = True
        #: The number of multicast groups that one socket may join.
        #: Unit: groups. Source: Linux igmp_max_memberships.
        self.igmp_max_memberships = 20
        #: The number of sources in the filter of one membership.
        #: Unit: addresses. Source: Linux igmp_max_msf.
        self.igmp_max_msf = 10
        #: The number of times that a change of the groups of this host is reported.
        #: Unit: reports. Source: RFC 3376 8.1; Linux igmp_qrv.
        self.igmp_qrv = 2

    def _neighbours(self) -> None:  # python
        """Neighbours"""
        #: The time between two ARP requests for the same address.
        #: Source: RFC 1122 2.3.2.1; Linux neigh retrans_time_ms.
        self.neigh_retrans_time = 1 * S
        #: The number of broadcast requests without an answer after which an address counts as unreachable.
        #: Unit: requests. Source: Linux neigh mcast_solicit.
        self.neigh_mcast_solicit = 3
        #: The number of unicast requests that the stack sends to
        #: confirm a stale entry, before it asks by broadcast again.
        #: Unit: requests. Source: Linux neigh ucast_solicit.
        self.neigh_ucast_solicit = 3
        #: The time for which a neighbour counts as reachable after a confirmation.
        #: Source: Linux neigh base_reachable_time_ms.
        self.neigh_reachable_time = 30 * S
        #: The time for which the stack waits for a confirmation from
        #: the layers above, before it probes a stale entry in use.
        #: Source: Linux neigh delay_first_probe_time.
        self.neigh_delay_probe_time = 5 * S
        #: The stack forgets an entry that was not used for this time.
        #: Source: Linux neigh gc_stale_time.
        self.neigh_gc_stale_time = 60 * S
        #: The number of packets that the stack keeps while it resolves an address.
        #: Unit: packets. Source: RFC 1122 2.3.2.2; Linux neigh unres_qlen.
        self.neigh_queue_len = 101
        #: The number of bytes in these packets. The latest packet is kept in any case.
        #: Unit: bytes. Source: Linux neigh unres_qlen_bytes.
        self.neigh_queue_bytes = 212992
        #: The number of entries that the neighbour table of one interface may hold.
        #: Unit: entries. Source: Linux neigh gc_thresh3.
        self.neigh_max_entries = 1024
        #: The number of entries in one table whose hardware address
        #: is not known. Beyond it, the oldest of them is dropped.
        #: Unit: entries.
        self.neigh_max_unresolved = 256

    def _path_mtu(self) -> None:  # python
        """Path MTU"""
        #: The stack forgets a path MTU that it learned from an ICMP error after this time.
        #: Source: RFC 1191 6.3 (at least 10 minutes); Linux route.mtu_expires.
        self.mtu_expires = 600 * S
        #: The smallest path MTU that the stack believes. If an ICMP error names a smaller one, packets keep this size
        #: and routers may fragment them.
        #: Unit: bytes. Source: RFC 1191 3 (68); Linux route.min_pmtu.
        self.min_pmtu = 552

    def _sockets(self) -> None:  # python
        """Ports and datagram sockets"""
        #: The first ephemeral port.
        #: Unit: port number. Source: Linux ip_local_port_range.
        self.port_min = 32768
        #: The last ephemeral port.
        #: Unit: port number. Source: Linux ip_local_port_range.
        self.port_max = 60999
        #: The upper bound of the backlog that a program passes to `listen`.
        #: Unit: connections. Source: Linux net.core.somaxconn.
        self.somaxconn = 4096
        #: The size of the receive queue of a UDP or raw socket.
        #: Source: Linux net.core.rmem_default.
        self.udp_rmem = 212992
        #: The SO_SNDBUF of a UDP or raw socket.
        #: Source: Linux net.core.wmem_default.
        self.udp_wmem = 212992
