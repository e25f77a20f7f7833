cimport cython
from libc.stdint cimport int64_t
from pystack_c.config cimport Config
from pystack_c.tcp.tcb cimport Tcb

@cython.final
cdef class Listener:
    cdef public int backlog
    cdef public dict syn_queue
    cdef public object accept_queue
    cdef public int64_t defer_accept
    cdef public int fastopen_pending
    cpdef bint accept_full(self) except -1
    cpdef bint syn_full(self, Config config) except -1
    cpdef add_syn(self, Tcb tcb)
    cpdef to_accept(self, Tcb tcb)
    cpdef forget(self, Tcb tcb)
