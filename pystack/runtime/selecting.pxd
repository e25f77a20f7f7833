cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t
from pystack.runtime.serving cimport ServingHost
from pystack.runtime.waiting cimport Hook, Waiter, Watch

cdef int _READ
cdef int _WRITE
cdef int _IN
cdef int _OUT

cdef class Interest(Hook):
    cdef public Selection owner
    cdef public Watch watch
    cdef public int events
    cdef public object key
    cdef public bint queued
    cdef public bint registered
    @cython.locals(bits=int, found=int)
    cpdef int level(self) except -1
    cpdef notify(self, int bits)

@cython.final
cdef class Selection:
    cdef public ServingHost host
    cdef public list ready
    cdef public list told
    cdef public Watch watch
    cdef public Waiter me
    cdef public bint outside
    cdef public object waiter
    cpdef int readiness(self) except? -1
    @cython.locals(interest=Interest)
    cpdef Interest add(self, Watch watch, int events, key)
    cpdef change(self, Interest interest, int events, key)
    cpdef remove(self, Interest interest)
    @cython.locals(host=ServingHost, limit=int64_t, found=list, ready=list, interest=Interest, level=int)
    cpdef list select(self, timeout)
    @cython.locals(interest=Interest)
    cdef _look_again(self)
    cpdef close(self)
