cimport cython
from pystack.runtime.waiting cimport Hook
from pystack_c.endpoint cimport Endpoint

cdef int _READABLE
cdef int _WRITABLE

cdef class Readiness(Hook):
    cdef public Endpoint endpoint
    cdef public object mine
    cdef public object other
    cdef public bint readable
    cdef public bint writable
    cdef public bint small
    cpdef int fileno(self) except -2
    @cython.locals(level=int, readable=bint, writable=bint)
    cpdef notify(self, int bits)
    cpdef close(self)
