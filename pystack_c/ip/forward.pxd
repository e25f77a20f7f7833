cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.ip cimport icmpv4, output as ip_output, mssclamp
from pystack_c.link cimport neighbor
from pystack_c.core cimport Core
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.hooks cimport passes
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_t, addr_text, is_group, is_loopback
from pystack_c.packet cimport Outgoing, Packet
from pystack_c.route cimport Dst
from pystack_c.base.seqnum cimport seq_add
from pystack_c.wire cimport checksum, rewrite
from pystack_c.wire cimport ipv4 as wire
from pystack_c.ip.routing cimport find_route

cdef str _subject(Packet pkt)
@cython.locals(dst=Dst, why=str, fields=dict, size=Py_ssize_t)
cpdef forward(Core core, Iface iface, Packet pkt)
@cython.locals(why=str, size=Py_ssize_t)
cpdef forward_to(Core core, Iface iface, Dst dst, Packet pkt)
@cython.locals(code=int, why=str)
cdef _no_route(Core core, Iface iface, Packet pkt)
@cython.locals(p="const unsigned char*", q="unsigned char*", start=Py_ssize_t, i=int, old=int, csum=uint32_t, payload=object, out=Outgoing, mtu=int, sizes=list)
cdef _send(Core core, Iface iface, Dst dst, Packet pkt)
cpdef send_copy(Core core, Iface iface, Dst dst, Packet pkt)
@cython.locals(tracked=Conntrack)
cdef bint _was_cut(Core core, Dst dst) except -1
@cython.locals(src=addr_t, tracked=Conntrack)
cdef int _ask_postrouting(Core core, Dst dst, Outgoing out, Py_ssize_t start) except -1
@cython.locals(start=Py_ssize_t, csum=uint32_t)
cdef bint _sign(Core core, Dst dst, Packet pkt) except -1
cdef addr_t _final(Packet pkt) except? 0xFFFFFFFF
@cython.locals(p="const unsigned char*", hlen=int, size=int)
cdef int _gso_wire_size(Packet pkt) except -2
@cython.locals(hlen=Py_ssize_t, head=bytearray, data=object, start=Py_ssize_t, seq=uint32_t, flags=int, count=int, i=int, piece=object, keep=int, acc=uint32_t, frag=int, total=int, ident=int, final=addr_t, out=Outgoing, src=addr_t, group=object)
cdef _send_segments(Core core, Dst dst, Packet pkt)
@cython.locals(out=Outgoing, group=object)
cdef object _ask_for_group(Core core, Dst dst, Packet pkt)
@cython.locals(data=bytearray, at=int, acc=uint32_t, csum=uint32_t)
cdef object _payload(Packet pkt)
