cimport cython
from libc.stdint cimport uint64_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.packet cimport Packet, new_transmit
from pystack_c.wire cimport arp as wire
from pystack_c.wire cimport ethernet
from pystack_c.base.address cimport addr_t, addr_text, is_broadcast, is_multicast, key
from pystack_c.link.neighbor cimport NeighborEntry, Resolver, has_mac, source_for, create, update

@cython.locals(fields=dict)
cpdef send_arp(Core core, Iface iface, int op, uint64_t eth_dst, addr_t spa, uint64_t tha, addr_t tpa, str reason, str rfc)
cdef class Arp(Resolver):
    @cython.locals(spa=addr_t, reason=str)
    cpdef solicit(self, Core core, NeighborEntry entry)

@cython.locals(code=int, subject=str, for_us=bint, proxied=bint, merged=bint, reason=str, op=str, fields=dict)
cpdef input(Core core, Iface iface, Packet pkt)
@cython.locals(own=LocalAddr)
cdef bint _is_own(Iface iface, addr_t addr) except -1
@cython.locals(watch=object)
cdef bint _conflict(Core core, Iface iface, Packet pkt) except -1
@cython.locals(addr=addr_t, entry=NeighborEntry, gratuitous=bint, solicited=bint)
cdef bint _learn(Core core, Iface iface, Packet pkt, bint for_us) except -1
@cython.locals(own=LocalAddr)
cdef bint _on_link(Iface iface, addr_t addr) except -1
cpdef announce(Core core, Iface iface, addr_t addr)
