cimport cython
from pystack_c.config cimport Config
from pystack_c.tcp.tcb cimport Tcb

@cython.final
cdef class Listener:
    cdef public int backlog
    cdef public dict syn_queue
    cdef public object accept_queue
    cpdef bint accept_full(self)
    cpdef bint syn_full(self, Config config)
    cpdef add_syn(self, Tcb tcb)
    cpdef to_accept(self, Tcb tcb)
    cpdef forget(self, Tcb tcb)
