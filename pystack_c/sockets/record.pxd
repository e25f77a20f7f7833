cimport cython
from libc.stdint cimport int64_t
from pystack_c.base.address cimport addr_t
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Packet

@cython.final
cdef class Datagram:
    cdef public bytes data
    cdef public addr_t src
    cdef public int sport
    cdef public addr_t dst
    cdef public Iface iface
    cdef public int ttl
    cdef public int tos
    cdef public int error
    cdef public tuple icmp
    cdef public addr_t offender
    cdef public int64_t info
    cdef public bytes options
    cdef public int64_t stamp
    cpdef fill(self, bytes data, addr_t src, int sport, addr_t dst, Iface iface, int ttl, int tos)

@cython.locals(dgram=Datagram)
cpdef Datagram received(Packet pkt, Iface iface, bytes data, int sport, int64_t stamp)

@cython.final
cdef class Membership:
    cdef public Iface iface
    cdef public addr_t group
    cdef public addr_t addr
    cdef public bint exclude
    cdef public bint filtered
    cdef public dict sources

@cython.final
cdef class Control:
    cdef public Iface iface
    cdef public bint has_src
    cdef public addr_t src
    cdef public int ttl
    cdef public int tos
    cdef public object encap
