cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.endpoint cimport Endpoint
from pystack_c.filter cimport cbpf
from pystack_c.filter.cbpf cimport Program
from pystack_c.base.fifo cimport Fifo
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Packet
from pystack_c.route cimport Dst
from pystack_c.sockets.record cimport Control, Datagram, Membership, received
from pystack_c.ip.pmtu cimport expire_mtu, lower_mtu
from pystack_c.ip.routing cimport find_route, route_endpoint, route_output
from pystack_c.base.address cimport addr_t, is_group, is_loopback, is_multicast, normal

cdef int64_t _OVERHEAD
cdef int64_t _ERRORS_MAX

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
    cdef public bint mcast_all
    cdef public Iface mcast_iface
    cdef public addr_t mcast_src
    cdef public Program filter
    cdef public bint filter_locked
    cdef public Control control
    cdef public dict memberships
    @cython.locals(bits=int)
    cpdef int readiness(self) except? -1
    @cython.locals(dgram=Datagram)
    cpdef bint enqueue(self, Packet pkt, Iface iface, bytes data, int sport) except -1
    cpdef bint matches(self, Iface iface, addr_t laddr, addr_t raddr) except -1
    @cython.locals(core=Core, size=int64_t)
    cpdef Py_ssize_t kept(self, Packet pkt, Iface iface, Py_ssize_t start) except? -1
    @cython.locals(found=Membership)
    cpdef bint allows(self, Iface iface, addr_t group, addr_t src) except -1
    @cython.locals(pkt=Packet, record=Datagram, why=str)
    cpdef hard_error(self, int error, int icmp_type, int code, int64_t info, addr_t offender, addr_t dst, int dport, bytes quote, bint local)

@cython.locals(core=Core)
cpdef Core begin(DatagramSocket ep, int64_t now)
@cython.locals(error=int, dgram=Datagram)
cpdef Datagram recvfrom(DatagramSocket ep, int flags, int64_t now)
@cython.locals(record=Datagram, following=Datagram)
cdef Datagram _take_error(DatagramSocket ep)
@cython.locals(record=Datagram)
cpdef too_long(DatagramSocket ep, Dst dst, addr_t addr)
@cython.locals(ifindex=object, src=object, ttl=object, tos=object, options=object, core=Core, control=Control)
cpdef begin_control(DatagramSocket ep, tuple asked)
cpdef end_control(DatagramSocket ep)
@cython.locals(src=addr_t)
cpdef addr_t source_of(DatagramSocket ep, Dst dst) except? 1
@cython.locals(cached=Dst, iface=Iface, dst=Dst, once=bint, onlink=bint)
cpdef Dst route_for(Core core, DatagramSocket ep, addr_t addr, int flags=*, int port=*)
@cython.locals(mode=int)
cpdef int fragmenting(DatagramSocket ep, Dst dst, Py_ssize_t size) except -1
@cython.locals(route=Dst)
cpdef bint path_mtu(Core core, DatagramSocket ep, addr_t addr, int64_t mtu) except -1
cpdef disconnect(DatagramSocket ep)
cpdef shutdown(DatagramSocket ep, int how, int64_t now)
cpdef cleanup(DatagramSocket ep)
