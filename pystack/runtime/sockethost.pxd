from libc.stdint cimport int64_t, uint64_t
from pystack.runtime.host cimport Host
from pystack.runtime.lock cimport Lock
from pystack.runtime.waiting cimport Hook, Watch

cdef class SocketHost(Host):
    cdef public Lock lock
    cdef public object error
    cdef public object names
    cdef int64_t begin(self) except? -2
    cdef end(self, int64_t now)
    cpdef later(self, fn, target)
    cpdef abandon(self, handle)
    cpdef bint wait(self, Watch watch, int bits, deadline) except -1
    cpdef wake(self, Watch watch)
    cpdef show(self, Watch watch, Hook hook)
    cpdef hide(self, Watch watch, Hook hook)
    cpdef refresh(self, Watch watch)
    cpdef uint64_t caller(self) except? 0
    cpdef deadline(self, seconds)
