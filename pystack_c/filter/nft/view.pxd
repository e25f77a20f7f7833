cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, addr_text, v4_bits
from pystack_c.core cimport Core
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.flow cimport Tracked
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Outgoing, Packet
from pystack_c.wire cimport checksum

@cython.final
cdef class View:
    cdef public Core core
    cdef public int place
    cdef public bint arrived
    cdef public bint own
    cdef public bint blind
    cdef public Packet packet
    cdef public Outgoing out
    cdef public Iface iif
    cdef public Iface oif
    cdef public bytes data
    cdef public Py_ssize_t th
    cdef public Py_ssize_t end
    cdef public addr_t src
    cdef public addr_t dst
    cdef public int proto
    cdef public int ttl
    cdef public int tos
    cdef public int length
    cdef public bint later
    cdef public uint32_t mark
    cdef public bint trace
    cdef public object target
    cdef public object rule
    cdef public object chain
    cdef public object nat
    cdef public Iface first_iif
    cdef public object base
    cdef public int rejected
    @cython.locals(ct=Conntrack)
    cpdef begin(self, bint own, Iface iface)
    @cython.locals(pkt=Packet, out=Outgoing)
    cpdef load(self, int place, Iface iface, object packet)
    cdef _leaving(self, Outgoing out)
    @cython.locals(ct=Conntrack)
    cpdef Tracked entry(self)
    @cython.locals(ct=Conntrack)
    cpdef int ct_bit(self) except -1
    @cython.locals(p="const unsigned char*", i=Py_ssize_t, at=Py_ssize_t, number=int64_t)
    cpdef int64_t transport(self, Py_ssize_t offset, Py_ssize_t size) noexcept
    @cython.locals(least=Py_ssize_t)
    cpdef bint sealed(self) noexcept
    @cython.locals(p="const unsigned char*", begin=Py_ssize_t, end=Py_ssize_t, at=Py_ssize_t, size=Py_ssize_t)
    cpdef Py_ssize_t option(self, int kind) noexcept
    @cython.locals(pkt=Packet, out=Outgoing, head=bytearray, ident=int, flags=int, csum=uint32_t)
    cpdef bytes header(self)
    @cython.locals(sport=int64_t, dport=int64_t, name=object)
    cpdef str subject(self)
