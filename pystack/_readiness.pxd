cimport cython
from pystack_c.endpoint cimport Endpoint

cdef int _READABLE
cdef int _WRITABLE

@cython.final
cdef class Readiness:
    cdef public Endpoint endpoint
    cdef public object mine
    cdef public object other
    cdef public bint readable
    cdef public bint writable
    cpdef int fileno(self) except -2
    @cython.locals(level=int, readable=bint, writable=bint)
    cpdef update(self, int bits)
    cpdef close(self)
