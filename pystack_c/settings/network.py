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
        self._conntrack()
        self._conntrack_tcp()

    def _ip(self) -> None:  # python
        """IPv4"""
        #: The TTL of the packets that the stack sends, if the socket does not set one.
        #: Unit: hops. Source: RFC 1122 3.2.1.7; Linux ip_default_ttl.
        self.ip_default_ttl = 64
        #: The stack forwards packets between its interfaces.
        #: Source: RFC 1812; Linux ip_forward.
        self.ip_forward = False
        #: The part of a flow by which it is kept on one of several next hops: 0 takes the addresses, and 1 takes the addresses,
        #: the protocol and the ports.
        #: Unit: mode. Source: Linux fib_multipath_hash_policy.
        self.fib_multipath_hash_policy = 0
        #: A router reports a better first hop to a sender that is on the same link.
        #: Source: RFC 1812 5.2.7.2; Linux send_redirects.
        self.send_redirects = True
        #: The stack believes a gateway that reports a better first hop. Any host on the link can forge such a report.
        #: Source: RFC 1122 3.2.2.2; Linux accept_redirects.
        self.accept_redirects = False
        #: A router answers ARP requests for addresses to which it has a route through another interface.
        #: Source: RFC 1027; Linux proxy_arp.
        self.proxy_arp = False
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

    def _conntrack(self) -> None:  # python
        """Connection tracking"""
        #: The number of connections that the connection tracking may hold. If the table is full, a new connection takes
        #: the place of the oldest one that is not assured. If there is none, its packets are dropped.
        #: Unit: connections. Source: Linux nf_conntrack_max.
        self.nf_conntrack_max = 262144
        #: The connection tracking verifies the checksums of packets that arrive. A packet with a wrong one is invalid.
        #: Source: Linux nf_conntrack_checksum.
        self.nf_conntrack_checksum = True
        #: The time after which the connection tracking forgets UDP packets that nobody answered.
        #: Source: Linux nf_conntrack_udp_timeout.
        self.nf_conntrack_udp_timeout = 30 * S
        #: The time after which the connection tracking forgets a UDP stream, which is traffic in both directions that
        #: has lasted for two seconds.
        #: Source: Linux nf_conntrack_udp_timeout_stream; RFC 4787 4.3 (at least 2 minutes).
        self.nf_conntrack_udp_timeout_stream = 120 * S
        #: The time after which the connection tracking forgets an ICMP query.
        #: Source: Linux nf_conntrack_icmp_timeout; RFC 5508 3.2 (at least 60 s, which Linux does not follow).
        self.nf_conntrack_icmp_timeout = 30 * S
        #: The time after which the connection tracking forgets the packets of any other protocol.
        #: Source: Linux nf_conntrack_generic_timeout.
        self.nf_conntrack_generic_timeout = 600 * S
        #: The address translation uses one external address and port for all packets from the same internal address and
        #: port. Without it, the translation keeps the port, if the connection stays unique, as Linux does.
        #: Source: RFC 4787 4.1 (REQ-1), RFC 5382 4.1, RFC 5508 3.1.
        self.nat_endpoint_independent = False
        #: With `nat_endpoint_independent`, this decides which packets from outside a mapping lets in: 0 from every
        #: endpoint, 1 only from addresses to which the internal host has sent, 2 only from such addresses and ports.
        #: Unit: level. Source: RFC 4787 5 (REQ-8).
        self.nat_filtering = 2

    def _conntrack_tcp(self) -> None:  # python
        """Connection tracking of TCP"""
        #: A segment beyond the windows does not make the packet invalid.
        #: Source: Linux nf_conntrack_tcp_be_liberal.
        self.nf_conntrack_tcp_be_liberal = False
        #: The connection tracking picks up connections whose SYN it has not seen.
        #: Source: Linux nf_conntrack_tcp_loose.
        self.nf_conntrack_tcp_loose = True
        #: A RST before the window is not invalid.
        #: Source: Linux nf_conntrack_tcp_ignore_invalid_rst.
        self.nf_conntrack_tcp_ignore_invalid_rst = False
        #: The number of retransmissions without an answer after which `nf_conntrack_tcp_timeout_max_retrans` holds.
        #: Unit: segments. Source: Linux nf_conntrack_tcp_max_retrans.
        self.nf_conntrack_tcp_max_retrans = 3
        #: The time after which the connection tracking forgets a connection of which only the first SYN was seen.
        #: Source: Linux nf_conntrack_tcp_timeout_syn_sent.
        self.nf_conntrack_tcp_timeout_syn_sent = 120 * S
        #: The time after which the connection tracking forgets a connection of which the SYN and its answer were seen.
        #: Source: Linux nf_conntrack_tcp_timeout_syn_recv.
        self.nf_conntrack_tcp_timeout_syn_recv = 60 * S
        #: The time after which the connection tracking forgets an established connection.
        #: Source: Linux nf_conntrack_tcp_timeout_established; RFC 5382 5 (at least 2 h 4 min).
        self.nf_conntrack_tcp_timeout_established = 432000 * S
        #: The time after which the connection tracking forgets a connection of which one side has sent a FIN.
        #: Source: Linux nf_conntrack_tcp_timeout_fin_wait.
        self.nf_conntrack_tcp_timeout_fin_wait = 120 * S
        #: The time after which the connection tracking forgets a connection whose first FIN was acknowledged.
        #: Source: Linux nf_conntrack_tcp_timeout_close_wait.
        self.nf_conntrack_tcp_timeout_close_wait = 60 * S
        #: The time after which the connection tracking forgets a connection of which both sides have sent a FIN.
        #: Source: Linux nf_conntrack_tcp_timeout_last_ack.
        self.nf_conntrack_tcp_timeout_last_ack = 30 * S
        #: The time after which the connection tracking forgets a connection whose last FIN was acknowledged.
        #: Source: Linux nf_conntrack_tcp_timeout_time_wait.
        self.nf_conntrack_tcp_timeout_time_wait = 120 * S
        #: The time after which the connection tracking forgets a connection that a RST has closed.
        #: Source: Linux nf_conntrack_tcp_timeout_close.
        self.nf_conntrack_tcp_timeout_close = 10 * S
        #: The time after which the connection tracking forgets a connection that retransmits the same segment, or whose window is closed.
        #: Source: Linux nf_conntrack_tcp_timeout_max_retrans.
        self.nf_conntrack_tcp_timeout_max_retrans = 300 * S
        #: The time after which the connection tracking forgets a connection whose latest data has not been acknowledged.
        #: Source: Linux nf_conntrack_tcp_timeout_unacknowledged.
        self.nf_conntrack_tcp_timeout_unacknowledged = 300 * S
