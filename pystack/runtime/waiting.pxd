cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t
from pystack.runtime.lock cimport Gate
from pystack.runtime.sleep cimport Sleeper, calm, poke
from pystack_c.endpoint cimport Endpoint

cdef int _READ
cdef int _WRITE
cdef int _IN
cdef int _OUT

@cython.final
cdef class Waiter:
    cdef public Waiter outer
    cdef public Gate gate
    cdef public bint parked
    cdef public bint opened
    cdef public bint promoted
    cdef public bint fired
    cdef public int bits
    cdef public int64_t timeout
    cdef public Gate opens
    cdef public int event_fd
    cdef public Sleeper leading
    cdef public Sleeper following
    cdef public bint outside
    cdef public int64_t looked
    cpdef let_go(self)
    cpdef bint park(self) except -1
    cpdef fire(self)
    cpdef promote(self)
    cpdef unpark(self, bint passed)

cdef class Hook:
    cdef public bint rising
    cpdef notify(self, int bits)

@cython.final
cdef class Watch:
    cdef public object endpoint
    cdef public Endpoint inner
    cpdef int readiness(self) except -1
    cdef public Waiter first
    cdef public list others
    cdef public tuple hooks
    cdef public bint falls
    @cython.locals(found=list)
    cpdef list waiters(self)
    cpdef add(self, Waiter waiter)
    cpdef remove(self, Waiter waiter)
    cpdef show(self, Hook hook)
    @cython.locals(waiter=Waiter, item=object, hook=Hook)
    cpdef notify(self, int bits, later=*)
    cdef _tell(self, Waiter waiter, int bits, later)

cdef class Interest(Hook):
    cdef public Watch watch
    cdef public int events
    cdef public object key
    cdef public bint queued
    cdef public bint registered
    @cython.locals(bits=int, found=int)
    cpdef int level(self) except -1
