cimport cython
from libc.stdint cimport int64_t
from pystack_c.endpoint cimport Endpoint
from pystack_c.route cimport Route
from pystack_c.base.seqnum cimport seq_diff
from pystack_c.tcp.congestion.base cimport CongestionControl
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(route=Route)
cpdef int64_t initial_window(Tcb tcb) except? -1

@cython.locals(flight=int64_t)
cpdef int64_t flight_size(Tcb tcb) except? -1

cdef class Reno(CongestionControl):
    cdef public int64_t bytes_acked
    @cython.locals(t=Tcb)
    cpdef conn_init(self, Endpoint tcb)
    @cython.locals(t=Tcb, mss=int64_t, abc_l=int64_t, grow=int64_t)
    cpdef ack_received(self, Endpoint tcb, int64_t acked)
    @cython.locals(t=Tcb, half=int64_t)
    cpdef cong_signal(self, Endpoint tcb, int signal)
    @cython.locals(t=Tcb)
    cpdef post_recovery(self, Endpoint tcb)
    @cython.locals(t=Tcb, window=int64_t)
    cpdef after_idle(self, Endpoint tcb)

cdef class Tahoe(Reno):
    @cython.locals(t=Tcb)
    cpdef cong_signal(self, Endpoint tcb, int signal)

cdef class Fixed(CongestionControl):
    cdef public int64_t segments
    cpdef argument(self, int64_t n)
    @cython.locals(t=Tcb)
    cpdef conn_init(self, Endpoint tcb)
