cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t
from pystack.runtime.serving cimport ServingHost
from pystack.runtime.waiting cimport Interest, Waiter, Watch

cdef class LoopInterest(Interest):
    cdef public Selection owner
    cdef join(self, Selection owner)
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
    @cython.locals(interest=LoopInterest)
    cpdef Interest add(self, Watch watch, int events, key)
    cpdef change(self, Interest interest, int events, key)
    cpdef remove(self, Interest interest)
    @cython.locals(host=ServingHost, limit=int64_t, found=list, ready=list, interest=Interest, level=int)
    cpdef list select(self, timeout)
    @cython.locals(interest=Interest)
    cdef _look_again(self)
    cpdef close(self)
