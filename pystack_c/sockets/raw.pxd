cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.sockets cimport datagram, ports
from pystack_c.ip cimport icmpv4, output as ip_output, whole
from pystack_c.core cimport Core
from pystack_c.sockets.datagram cimport DatagramSocket
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_t, addr_text, is_multicast, normal
from pystack_c.packet cimport Outgoing, Packet
from pystack_c.sockets.ports cimport PortTable
from pystack_c.route cimport Dst
from pystack_c.wire.checksum cimport sum_any

cdef class RawSocket(DatagramSocket):
    cdef public int proto
    cdef public bint ping
    cdef public bint hdrincl
    cdef public uint32_t icmp_filter
    cpdef str subject(self)

@cython.final
cdef class RawTable:
    cdef public dict by_proto
    cdef public PortTable ping
    cdef public object packets

@cython.locals(ep=RawSocket)
cdef RawSocket _open(Core core, int proto, int64_t now)
@cython.locals(ep=RawSocket, table=RawTable, bucket=dict)
cpdef RawSocket raw_open(Core core, int proto, int64_t now)
@cython.locals(ep=RawSocket)
cpdef RawSocket ping_open(Core core, int64_t now)
@cython.locals(core=Core, table=RawTable)
cpdef bind(RawSocket ep, addr_t addr, int port, int64_t now)
@cython.locals(core=Core, dst=Dst)
cpdef connect(RawSocket ep, addr_t addr, int port, int64_t now)
@cython.locals(core=Core, payload=bytes, dst=Dst, error=int, src=addr_t, ttl=int, tos=int, df=int, fields=dict, out=Outgoing)
cpdef Py_ssize_t sendto(RawSocket ep, object data, addr_t addr, int port, int flags, int64_t now) except -1
cpdef Py_ssize_t sendmsg(RawSocket ep, object data, addr_t addr, int port, int flags, tuple control, int64_t now) except -1
@cython.locals(table=RawTable, message=bytes, csum=object)
cdef bytes _ping_message(Core core, RawSocket ep, bytes data)
cpdef recvfrom(RawSocket ep, int flags, int64_t now)
cpdef shutdown(RawSocket ep, int how, int64_t now)
@cython.locals(table=RawTable, bucket=dict)
cpdef close(RawSocket ep, int64_t now)
@cython.locals(core=Core)
cpdef setsockopt(RawSocket ep, int level, int name, object value, int64_t now)
@cython.locals(value=object)
cpdef object getsockopt(RawSocket ep, int level, int name, int64_t now)
@cython.locals(table=RawTable, bucket=dict, taken=bint, item=object, ep=RawSocket, kind=int)
cpdef bint deliver(Core core, Iface iface, Packet pkt) except -1
@cython.locals(end=Py_ssize_t, data=bytes)
cdef _enqueue(Core core, Iface iface, Packet pkt, RawSocket ep, Py_ssize_t start)
@cython.locals(table=RawTable, bucket=dict, item=object, ep=RawSocket)
cpdef bint deliver_reply(Core core, Iface iface, Packet pkt) except -1
@cython.locals(table=RawTable, found=bint, item=object, ep=RawSocket)
cpdef bint icmp_error(Core core, Iface iface, int error, int icmp_type, int code, int64_t info, addr_t offender, addr_t src, addr_t dst, int proto, bytes l4, bint local) except -1
cdef _tell(RawSocket ep, int error, int icmp_type, int code, int64_t info, addr_t offender, addr_t dst, bytes quote, bint local)
