cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C

@cython.final
cdef class Urgent:
    cdef public bint seen
    cdef public int byte
    cdef public int state
    cdef public int64_t mark_left
