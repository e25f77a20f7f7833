cimport cython
from libc.stdint cimport int64_t
from pystack_c.endpoint cimport Endpoint

cdef class CongestionControl:
    cpdef argument(self, int64_t n)
    cpdef conn_init(self, Endpoint tcb)
    cpdef ack_received(self, Endpoint tcb, int64_t acked)
    cpdef sample(self, Endpoint tcb)
    cpdef cong_signal(self, Endpoint tcb, int signal)
    cpdef segment_lost(self, Endpoint tcb, object seg)
    cpdef post_recovery(self, Endpoint tcb)
    cpdef undone(self, Endpoint tcb)
    cpdef after_idle(self, Endpoint tcb)

@cython.locals(algorithms=dict, plain=object, found=object, made=CongestionControl)
cpdef CongestionControl create(str name)
cpdef bint known(str name) except -1
