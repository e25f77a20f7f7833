cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.base.seqnum cimport seq_diff
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer

@cython.final
cdef class Rate:
    cdef public int64_t delivered
    cdef public int64_t delivered_at
    cdef public int64_t first_sent_at
    cdef public int64_t app_limited
    cdef public int64_t lost
    cdef public bint rs_valid
    cdef public int64_t rs_prior_delivered
    cdef public int64_t rs_prior_lost
    cdef public int64_t rs_send_elapsed
    cdef public int64_t rs_ack_elapsed
    cdef public bint rs_app_limited
    cdef public int64_t rs_tx_in_flight
    cdef public int64_t rs_rtt
    cdef public int64_t rs_newly_acked
    cdef public int64_t rs_newly_lost
    cdef public int64_t rs_delivered
    cdef public int64_t rs_rate
    cdef public int64_t rate
    cdef public bint rate_app_limited
    cpdef begin(self)

@cython.locals(rate=Rate)
cpdef Rate new_rate()
@cython.locals(rate=Rate, now=int64_t)
cpdef sent(Tcb tcb, SentSegment seg)
@cython.locals(rate=Rate, now=int64_t)
cpdef delivered(Tcb tcb, SentSegment seg, int64_t n)
@cython.locals(rate=Rate)
cpdef lost(Tcb tcb, int64_t n)
@cython.locals(rate=Rate, interval=int64_t)
cpdef bint finish_sample(Tcb tcb) except -1
@cython.locals(rate=Rate)
cpdef next_sample(Tcb tcb)
@cython.locals(rate=Rate)
cpdef note_app_limited(Tcb tcb, int64_t in_flight)
@cython.locals(config=Config, ratio=int64_t, window=int64_t, rtt=int64_t)
cpdef set_pacing(Tcb tcb)
@cython.locals(rate=int64_t)
cpdef int64_t pacing_limit(Tcb tcb) except? -1
@cython.locals(why=str)
cpdef bint may_send_now(Tcb tcb) except -1
@cython.locals(limit=int64_t, start=int64_t, slack=int64_t, wait=int64_t, late=int64_t)
cpdef paced(Tcb tcb, int64_t n)
@cython.locals(limit=int64_t, n=int64_t)
cpdef int64_t quantum(Tcb tcb, int64_t mss) except? -1
