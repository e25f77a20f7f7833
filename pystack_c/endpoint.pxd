cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface
from pystack_c.base.timer cimport TimerOwner
from pystack_c.base.address cimport addr_t

cdef class Endpoint(TimerOwner):
    cdef public Core core
    cdef public int64_t ident
    cdef public object waiter
    cdef public object service
    cdef public int pending
    cdef public bint queued
    cdef public int so_error
    cdef public addr_t laddr
    cdef public int lport
    cdef public addr_t raddr
    cdef public int rport
    cdef public bint bound
    cdef public Iface bound_iface
    cdef public int ttl
    cdef public int tos
    cdef public bint reuseaddr
    cdef public bint reuseport
    cdef public bint broadcast
    cdef public bint freebind
    cdef public bint dontroute
    cdef public uint32_t mark
    cdef public dict options
    cdef public object encap
    cdef public dict shown
    cpdef begin(self, Core core, int64_t ident)
    cpdef dict snapshot(self)
    cpdef wake(self, int bits)
    cpdef int readiness(self) except? -1
    cpdef bint listening(self) except -1
    @cython.locals(bits=int)
    cpdef int take_pending(self) except? -1
    @cython.locals(error=int)
    cpdef int take_error(self) except? -1
    cpdef fail(self, int error)
