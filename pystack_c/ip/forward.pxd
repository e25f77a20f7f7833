cimport cython
from libc.stdint cimport uint32_t
from libc.string cimport memcpy
from cpython.bytes cimport PyBytes_FromStringAndSize
cimport pystack_c.const as C
from pystack_c.ip cimport groups, icmpv4, output as ip_output, mssclamp, redirect
from pystack_c.link cimport neighbor
from pystack_c.core cimport Core
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.hooks cimport unread, verdict_of
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_t, addr_text, is_group, is_loopback
from pystack_c.packet cimport Outgoing, Packet, new_transmit
from pystack_c.route cimport Dst
from pystack_c.wire cimport checksum, rewrite
from pystack_c.ip.routing cimport find_route, route_flow

# bytes that the caller fills in before anyone else sees them
cdef inline bytes blank(Py_ssize_t size):
    return PyBytes_FromStringAndSize(NULL, size)

cdef str _subject(Packet pkt)
@cython.locals(dst=Dst, fields=dict, size=Py_ssize_t)
cpdef forward(Core core, Iface iface, Packet pkt)
@cython.locals(why=str)
cdef bint _expired(Core core, Iface iface, Packet pkt) except -1
@cython.locals(size=Py_ssize_t, why=str)
cdef Py_ssize_t _checked_size(Core core, Iface iface, Dst dst, Packet pkt) except -2
@cython.locals(size=Py_ssize_t)
cpdef forward_to(Core core, Iface iface, Dst dst, Packet pkt)
@cython.locals(p="const unsigned char*", at=Py_ssize_t, sport=int, dport=int)
cdef Dst _route(Core core, Iface iface, Packet pkt)
@cython.locals(code=int, why=str)
cdef _no_route(Core core, Iface iface, Packet pkt)
@cython.locals(p="const unsigned char*", q="unsigned char*", h="const unsigned char*", header=bytes, frame=bytes, changed=bytes, size=Py_ssize_t, at=Py_ssize_t, old=int, csum=uint32_t, tracked=Conntrack)
cdef bint _relay(Core core, Dst dst, Packet pkt) except -1
@cython.locals(p="const unsigned char*", q="unsigned char*", start=Py_ssize_t, i=int, old=int, csum=uint32_t, payload=object, out=Outgoing, mtu=int, sizes=list)
cdef _send(Core core, Iface iface, Dst dst, Packet pkt)
cpdef send_copy(Core core, Iface iface, Dst dst, Packet pkt)
@cython.locals(tracked=Conntrack)
cdef bint _was_cut(Core core, Dst dst) except -1
@cython.locals(src=addr_t, tracked=Conntrack)
cdef int _ask_postrouting(Core core, Dst dst, Outgoing out, Py_ssize_t start) except -1
@cython.locals(data=bytearray, at=int, acc=uint32_t, csum=uint32_t)
cdef object _payload(Packet pkt)
