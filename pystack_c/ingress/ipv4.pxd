cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.ip cimport forward, icmpv4, reassembly
from pystack_c.ingress cimport icmpv4 as icmp_input
from pystack_c.sockets cimport raw, udp
from pystack_c.core cimport Core
from pystack_c.counters cimport Counters
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.hooks cimport verdict_of
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.base.address cimport addr_t, addr_text, is_broadcast, is_group, is_loopback, is_multicast, is_this_network, key, v4
from pystack_c.packet cimport Packet
from pystack_c.route cimport Accepted, slot
from pystack_c.tcp cimport input as tcp_input
from pystack_c.wire cimport ipv4 as wire

cdef int _BAD_CHECKSUM, _TRUNCATED
cdef uint32_t _ALL_HOSTS

@cython.locals(code=int, counters=Counters, error=tuple, at=int, known=Accepted)
cpdef input(Core core, Iface iface, Packet pkt)
@cython.locals(tracked=Conntrack)
cdef bint _prerouting(Core core, Iface iface, Packet pkt) except -1
@cython.locals(known=Accepted)
cdef _accept(Core core, Iface iface, Packet pkt, int at)
cdef bint _count_group(Counters counters, Packet pkt) noexcept
@cython.locals(count=int, codepoint=int)
cdef void _count_ecn(Counters counters, Packet pkt) noexcept
cdef str _subject(Packet pkt)
cdef bint _drop_martian(Core core, Packet pkt, str name, str reason, str rfc) except -1
@cython.locals(src=addr_t, loopback=bint)
cdef bint _check_addresses(Core core, Iface iface, Packet pkt) except -1
@cython.locals(iface=Iface, own=LocalAddr)
cdef bint _is_broadcast(Core core, addr_t src) except -1
@cython.locals(options=bytes, wrong=int, why=str, rest=uint32_t, kind=int, option=bytes, at=int)
cdef bint _check_options(Core core, Iface iface, Packet pkt) except -1
@cython.locals(own=LocalAddr)
cpdef int classify(Core core, Iface iface, addr_t dst) except -1
@cython.locals(pkt=Packet)
cpdef looped(Core core, Iface iface, bytes packet)
@cython.locals(why=str, taken=bint, fields=dict, refused=str)
cpdef deliver(Core core, Iface iface, Packet pkt)
