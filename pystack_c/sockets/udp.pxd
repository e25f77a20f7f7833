cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.sockets cimport datagram, ports
from pystack_c.ip cimport icmpv4, output as ip_output
from pystack_c.core cimport Core
from pystack_c.sockets.datagram cimport DatagramSocket
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_t, addr_text, is_multicast, loopback_for, normal, plain
from pystack_c.ip.routing cimport route_flow
from pystack_c.packet cimport Outgoing, Packet, cut
from pystack_c.sockets.ports cimport PortTable
from pystack_c.route cimport Dst, transport_sum
from pystack_c.wire cimport udp as wire

cdef class UdpSocket(DatagramSocket):
    cdef public bint no_check
    cpdef str subject(self)

@cython.locals(ep=UdpSocket)
cpdef UdpSocket udp_open(Core core, int64_t now)
@cython.locals(core=Core)
cpdef bind(UdpSocket ep, addr_t addr, int port, int64_t now)
@cython.locals(core=Core, dst=Dst)
cpdef connect(UdpSocket ep, addr_t addr, int port, int64_t now)
@cython.locals(core=Core, payload=bytes, dst=Dst, most=Py_ssize_t, error=int)
cpdef Py_ssize_t sendto(UdpSocket ep, object data, addr_t addr, int port, int flags, int64_t now) except -1
cpdef Py_ssize_t sendmsg(UdpSocket ep, object data, addr_t addr, int port, int flags, tuple control, int64_t now) except -1
@cython.locals(src=addr_t, acc=uint32_t, ttl=int, tos=int, df=int, partial=bint, subject=str, error=int, table=PortTable, out=Outgoing, size=Py_ssize_t)
cdef int _output(Core core, UdpSocket ep, Dst dst, addr_t addr, int port, bytes payload) except -1
cpdef recvfrom(UdpSocket ep, int flags, int64_t now)
cpdef shutdown(UdpSocket ep, int how, int64_t now)
cpdef close(UdpSocket ep, int64_t now)
@cython.locals(core=Core)
cpdef setsockopt(UdpSocket ep, int level, int name, object value, int64_t now)
@cython.locals(value=object)
cpdef object getsockopt(UdpSocket ep, int level, int name, int64_t now)
@cython.locals(table=PortTable, bucket=dict, best=UdpSocket, best_score=int, shared=int, item=object, only=UdpSocket, ep=UdpSocket, score=int)
cpdef UdpSocket lookup(Core core, Iface iface, addr_t laddr, int lport, addr_t raddr, int rport)
@cython.locals(score=int)
cdef int _score(UdpSocket ep, Iface iface, addr_t laddr, addr_t raddr, int rport) except -2
@cython.locals(key=bytes, index=int64_t, item=object, ep=UdpSocket)
cdef UdpSocket _choose(Core core, dict bucket, Iface iface, addr_t laddr, addr_t raddr, int rport, int score, int count)
@cython.locals(code=int, ep=UdpSocket, why=str)
cpdef input(Core core, Iface iface, Packet pkt)
@cython.locals(table=PortTable, bucket=dict, count=int, item=object, ep=UdpSocket)
cdef _deliver_all(Core core, Iface iface, Packet pkt)
@cython.locals(data=bytes, end=Py_ssize_t, subject=str)
cdef _deliver(Core core, Iface iface, Packet pkt, UdpSocket ep)
@cython.locals(ep=UdpSocket)
cpdef Dst path_of(Core core, Iface iface, addr_t src, addr_t dst, int sport, int dport)
@cython.locals(ep=UdpSocket, why=str)
cpdef bint icmp_error(Core core, Iface iface, int error, int icmp_type, int code, int64_t info, addr_t offender, addr_t src, addr_t dst, int sport, int dport, bytes quote, bint local) except -1
