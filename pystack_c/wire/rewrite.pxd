cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, v4, v4_bits
from pystack_c.wire.checksum cimport update

@cython.final
cdef class Quoted:
    cdef public addr_t src
    cdef public addr_t dst
    cdef public int proto
    cdef public int ident
    cdef public Py_ssize_t at
    cdef public Py_ssize_t l4

@cython.locals(p="const unsigned char*", hlen=int, bits=uint32_t)
cpdef bint read(Quoted quoted, bytes data, Py_ssize_t at, Py_ssize_t end) except -1
@cython.locals(old=int)
cdef _word(bytearray q, Py_ssize_t at, Py_ssize_t csum_at, int new, bint partial)
@cython.locals(flip=uint32_t, csum=uint32_t)
cdef _fix(bytearray q, Py_ssize_t csum_at, int old, int new, bint partial)
@cython.locals(where=Py_ssize_t, bits=uint32_t)
cpdef network(bytearray q, Py_ssize_t at, bint source, addr_t addr)
cpdef tos_and_ttl(bytearray q, Py_ssize_t at, int tos, int ttl)
cpdef Py_ssize_t checksum_at(bytearray q, Py_ssize_t at, Py_ssize_t end, int proto, bint partial) except -2
@cython.locals(csum_at=Py_ssize_t, was=uint32_t, bits=uint32_t)
cpdef transport(bytearray q, Py_ssize_t at, Py_ssize_t end, int proto, bint source, addr_t old, addr_t new, int port, bint partial)
