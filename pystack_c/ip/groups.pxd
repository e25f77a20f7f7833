cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, addr_text
from pystack_c.base.seqnum cimport seq_add
from pystack_c.core cimport Core
from pystack_c.filter.hooks cimport verdict_of
from pystack_c.iface cimport Iface
from pystack_c.link cimport neighbor
from pystack_c.packet cimport Outgoing, Packet
from pystack_c.route cimport Dst
from pystack_c.wire cimport checksum
from pystack_c.wire cimport ipv4 as wire

@cython.locals(iface=Iface)
cpdef bint fits(Dst dst, Packet pkt) noexcept
@cython.locals(start=Py_ssize_t, hlen=Py_ssize_t, group=object, acc=uint32_t, frag=int, out=Outgoing, src=addr_t)
cpdef send_whole(Core core, Dst dst, Packet pkt)
@cython.locals(start=Py_ssize_t, csum=uint32_t)
cpdef bint sign(Core core, Dst dst, Packet pkt) except -1
cpdef addr_t final_of(Packet pkt) except? 0xFFFFFFFF
@cython.locals(p="const unsigned char*", hlen=int, size=int)
cpdef int wire_size(Packet pkt) except -2
@cython.locals(hlen=Py_ssize_t, head=bytearray, data=object, start=Py_ssize_t, seq=uint32_t, flags=int, count=int, i=int, piece=object, keep=int, acc=uint32_t, frag=int, total=int, ident=int, final=addr_t, out=Outgoing, src=addr_t, group=object)
cpdef send_segments(Core core, Dst dst, Packet pkt)
@cython.locals(start=Py_ssize_t, out=Outgoing, group=object)
cdef object _begin(Core core, Dst dst, Packet pkt)
