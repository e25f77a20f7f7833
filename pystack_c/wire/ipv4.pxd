cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.packet cimport Packet
from pystack_c.wire.checksum cimport sum_bytes, sum_scratch
from pystack_c.base.address cimport addr_t, v4, v4_bits

@cython.locals(off=Py_ssize_t, room=Py_ssize_t, p="const unsigned char*", hlen=int, total=int, frag=int, bits=uint32_t)
cpdef int parse(Packet pkt) except -100
@cython.locals(q="unsigned char*", s=uint32_t, bits=uint32_t)
cpdef write(bytearray p, Py_ssize_t off, int hlen, int tos, int total, int ident, int frag, int ttl, int proto, addr_t src, addr_t dst)
@cython.locals(i=Py_ssize_t, n=Py_ssize_t, kind=int, length=int)
cpdef int check_options(bytes options) except -100
@cython.locals(i=Py_ssize_t, kind=int, length=int, found=list)
cpdef list options_list(bytes options)
@cython.locals(kept=bytes)
cpdef bytes copied_options(bytes options)
