cimport cython

@cython.final
cdef class FastOpen:
    cdef public int qlen
    cdef public bytes key
    cdef public bint no_cookie
    cdef public bint connect
    cdef public bint asked
    cdef public bint deferred
    cdef public bytes cookie
    cdef public bint exp
    cdef public bint option
    cdef public bint data_acked
    cdef public bint again
    cdef public int fail
