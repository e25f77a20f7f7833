cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.endpoint cimport Endpoint
from pystack_c.base.seqnum cimport seq_ge
from pystack_c.tcp cimport quirks
from pystack_c.tcp.congestion.base cimport CongestionControl
from pystack_c.tcp.congestion.reno cimport flight_size, initial_window
from pystack_c.tcp.tcb cimport Tcb

cdef class Cubic(CongestionControl):
    cdef public double w_max
    cdef public double k
    cdef public double w_est
    cdef public int64_t epoch
    cdef public int64_t updated
    cdef public double cwnd_prior
    cdef public bint saved
    cdef public double saved_w_max
    cdef public double saved_k
    cdef public double saved_w_est
    cdef public int64_t saved_epoch
    cdef public double saved_cwnd_prior
    cdef public bint saved_initial
    cdef public bint initial
    cdef public uint32_t round_end
    cdef public bint round_started
    cdef public int64_t round_min
    cdef public int64_t last_round_min
    cdef public int samples
    cdef public int64_t css_baseline
    cdef public int css_rounds
    cdef public object steps
    @cython.locals(t=Tcb)
    cpdef conn_init(self, Endpoint tcb)
    @cython.locals(t=Tcb)
    cpdef ack_received(self, Endpoint tcb, int64_t acked)
    @cython.locals(limit=int64_t, grow=int64_t)
    cdef _slow_start(self, Tcb t, int64_t acked)
    @cython.locals(thresh=int64_t)
    cdef int64_t _watch(self, Tcb t, int64_t grow) except? -1
    cdef _save(self, Tcb t, int signal)
    @cython.locals(steps=object, room=int64_t, grow=int64_t)
    cdef _as_linux(self, Tcb t, int64_t acked)
    cdef _anew(self)
    cdef _round(self, Tcb t)
    @cython.locals(mss=double, cwnd=double, now=int64_t, segments=double, elapsed=double, w_cubic=double, alpha=double, target=double)
    cdef _avoidance(self, Tcb t, int64_t acked)
    @cython.locals(d=double)
    cdef double _w(self, double elapsed) except? -1.0
    @cython.locals(t=Tcb, mss=double, cwnd=double, reduced=int64_t)
    cpdef cong_signal(self, Endpoint tcb, int signal)
    @cython.locals(t=Tcb)
    cpdef post_recovery(self, Endpoint tcb)
    @cython.locals(t=Tcb)
    cpdef undone(self, Endpoint tcb)
    @cython.locals(t=Tcb, window=int64_t)
    cpdef after_idle(self, Endpoint tcb)
