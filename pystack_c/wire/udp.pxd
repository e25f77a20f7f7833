cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.packet cimport Packet
from pystack_c.wire.checksum cimport pseudo_sum, sum_any, sum_bytes

@cython.locals(off=Py_ssize_t, room=Py_ssize_t, p="const unsigned char*", length=int)
cpdef int parse(Packet pkt) except -100
@cython.locals(q="unsigned char*", s=uint32_t, length=int)
cpdef write(bytearray p, Py_ssize_t off, uint32_t pseudo, int sport, int dport, object payload, bint csum, bint partial)
