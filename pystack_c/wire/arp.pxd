cimport cython
from libc.stdint cimport uint32_t, uint64_t
cimport pystack_c.const as C
from pystack_c.packet cimport Packet
from pystack_c.base.address cimport addr_bytes, v4

@cython.locals(off=Py_ssize_t, p="const unsigned char*", hi=uint64_t, lo=uint32_t, bits=uint32_t)
cpdef int parse(Packet pkt) except -100
cpdef bytes frame(object eth_dst, object op, object sha, object spa, object tha, object tpa)
