cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.endpoint cimport Endpoint
from pystack_c.base.fifo cimport Fifo
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.packet cimport Packet
from pystack_c.route cimport Dst
from pystack_c.ip.pmtu cimport expire_mtu, lower_mtu
from pystack_c.ip.routing cimport find_route, route_output
from pystack_c.base.address cimport addr_t, from_bytes, is_multicast

cdef int64_t _OVERHEAD

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
    cpdef fill(self, bytes data, addr_t src, int sport, addr_t dst, Iface iface, int ttl, int tos)

@cython.locals(dgram=Datagram)
cpdef Datagram received(Packet pkt, Iface iface, bytes data, int sport)

cdef class DatagramSocket(Endpoint):
    cdef public Fifo queue
    cdef public int64_t queued_bytes
    cdef public int64_t rcvbuf
    cdef public int64_t sndbuf
    cdef public object errqueue
    cdef public Dst dst
    cdef public bint wildcard
    cdef public bint shut_rd
    cdef public bint shut_wr
    cdef public bint closed
    cdef public int64_t dropped
    cdef public int mtu_discover
    cdef public bint recverr
    cdef public int mcast_ttl
    cdef public bint mcast_loop
    cdef public Iface mcast_iface
    cdef public dict memberships
    @cython.locals(bits=int)
    cpdef int readiness(self) except? -1
    @cython.locals(dgram=Datagram)
    cpdef bint enqueue(self, Packet pkt, Iface iface, bytes data, int sport) except -1
    cpdef bint matches(self, Iface iface, addr_t laddr, addr_t raddr) except -1
    @cython.locals(record=Datagram, why=str)
    cpdef hard_error(self, int error, int icmp_type, int code, int64_t info, addr_t offender, addr_t dst, int dport, bytes quote, bint local)

@cython.locals(core=Core)
cpdef Core begin(DatagramSocket ep, int64_t now)
@cython.locals(error=int, dgram=Datagram)
cpdef Datagram recvfrom(DatagramSocket ep, int flags, int64_t now)
@cython.locals(cached=Dst, iface=Iface, dst=Dst, once=bint)
cpdef Dst route_for(Core core, DatagramSocket ep, addr_t addr, int flags=*)
@cython.locals(mode=int)
cpdef int fragmenting(DatagramSocket ep, Dst dst, Py_ssize_t size) except -1
@cython.locals(route=Dst)
cpdef bint path_mtu(Core core, DatagramSocket ep, addr_t addr, int64_t mtu) except -1
cpdef disconnect(DatagramSocket ep)
cpdef shutdown(DatagramSocket ep, int how, int64_t now)
@cython.locals(size=int64_t, mode=int)
cpdef bint setsockopt(Core core, DatagramSocket ep, int level, int name, object value) except -1
cpdef object getsockopt(DatagramSocket ep, int level, int name)
@cython.locals(iface=Iface, own=LocalAddr)
cdef Iface _iface_of(Core core, addr_t addr)
@cython.locals(ttl=int, at=int, group=addr_t, iface=Iface)
cdef _set_multicast(Core core, DatagramSocket ep, int name, object value)
@cython.locals(key=tuple)
cdef _membership(DatagramSocket ep, Iface iface, addr_t group, bint join)
@cython.locals(key=tuple)
cpdef cleanup(DatagramSocket ep)
