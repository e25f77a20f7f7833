cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t, uint64_t
from pystack.runtime.sockethost cimport SocketHost
from pystack.runtime.waiting cimport Hook, Watch

cdef class Parked(Hook):
    cdef public Watch watch
    cdef public int bits
    cdef public bint fired
    cdef public object resume
    cpdef notify(self, int bits)
    cpdef fire(self)

cdef class VirtualHost(SocketHost):
    cdef public object net
    cdef public object local
    cdef public bint rebooted
    cdef public object garbage
    cpdef uint64_t caller(self) except? 0
    cdef int64_t begin(self) except? -2
    cdef end(self, int64_t now)
    cpdef later(self, fn, target)
    cpdef abandon(self, handle)
    @cython.locals(parked=Parked)
    cpdef bint wait(self, Watch watch, int bits, deadline) except -1
    cpdef wake(self, Watch watch)
    cpdef show(self, Watch watch, Hook hook)
    cpdef hide(self, Watch watch, Hook hook)
    @cython.locals(item=object, hook=Hook)
    cpdef refresh(self, Watch watch)
