cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c cimport icmpv4, ipv4, neighbor
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface
from pystack_c.neighbor cimport addr_text
from pystack_c.packet cimport Packet
from pystack_c.route cimport Dst
from pystack_c.wire cimport checksum

cdef str _subject(Packet pkt)
@cython.locals(dst=Dst, why=str, fields=dict)
cpdef forward(Core core, Iface iface, Packet pkt)
@cython.locals(code=int, why=str)
cdef _no_route(Core core, Iface iface, Packet pkt)
@cython.locals(p="const unsigned char*", q="unsigned char*", start=Py_ssize_t, i=int, old=int, csum=uint32_t, payload=object, data=bytes, options=bytes)
cdef _send(Core core, Dst dst, Packet pkt)
@cython.locals(data=bytearray, at=int, acc=uint32_t, csum=uint32_t)
cdef object _payload(Packet pkt)
