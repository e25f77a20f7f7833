cimport cython
cimport pystack_c.const as C
from libc.stdint cimport uint32_t
from pystack_c.packet cimport Packet
from pystack_c.wire.checksum cimport sum_any, sum_bytes

@cython.locals(off=Py_ssize_t, p="const unsigned char*")
cpdef int parse(Packet pkt) except -100
@cython.locals(q="unsigned char*", s=uint32_t)
cpdef write(bytearray p, Py_ssize_t off, int icmp_type, int code, uint32_t rest, object payload)
@cython.locals(at=Py_ssize_t)
cpdef bytes quoted(bytes quote)
