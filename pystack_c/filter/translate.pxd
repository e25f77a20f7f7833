cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, addr_text
from pystack_c.core cimport Core
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.flow cimport Tracked, Half
from pystack_c.packet cimport Outgoing, Packet
from pystack_c.wire cimport checksum, rewrite
from pystack_c.wire.rewrite cimport Quoted

cdef Py_ssize_t _HEAD

@cython.locals(bit=int)
cpdef bint wanted(Tracked entry, int direction, bint source) except -1
@cython.locals(ct=Conntrack, target=Half, addr=addr_t, port=int, pkt=Packet, out=Outgoing, before=addr_t, was=int, fields=dict)
cpdef translate(Core core, Tracked entry, int direction, bint source, object packet, bint arrived)
@cython.locals(p="const unsigned char*")
cdef int _port(bytes data, Py_ssize_t at, Py_ssize_t end, int proto, bint source) except -1
@cython.locals(cut=Py_ssize_t, frame=bytes, q=bytearray)
cdef _arrived(Packet pkt, bint source, addr_t before, addr_t addr, int port)
@cython.locals(partial=bint, q=bytearray, at=Py_ssize_t, end=Py_ssize_t, was=int)
cdef int _leaving(Core core, Outgoing out, bint source, addr_t before, addr_t addr, int port) except -1
@cython.locals(ct=Conntrack, pkt=Packet, out=Outgoing, before=addr_t, q=bytearray, at=Py_ssize_t, why=str, addr=addr_t, target=Half, what=str, fields=dict)
cpdef int translate_error(Core core, Tracked entry, int direction, bint source, object packet, bint arrived) except -1
@cython.locals(ct=Conntrack, quoted=Quoted, end=Py_ssize_t, addr=addr_t, port=int, before=addr_t, csum=uint32_t)
cdef bint _translate_quoted(Core core, Half inner, bint source, bytearray q, Py_ssize_t at) except -1
cdef _replace(Packet pkt, bytearray q, bint source, addr_t addr)
