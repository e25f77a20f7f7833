cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.endpoint cimport Endpoint
from pystack_c.tcp.congestion.bbr_model cimport BbrModel
from pystack_c.tcp.congestion.reno cimport initial_window
from pystack_c.tcp.congestion.rate cimport Rate, note_app_limited
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.tcb cimport Tcb

cdef class Bbr(BbrModel):
    cdef public double pacing_gain
    cdef public double cwnd_gain
    cdef public int ack_phase
    cdef public int64_t full_bw
    cdef public int64_t full_bw_count
    cdef public bint full_bw_now
    cdef public int64_t lost_ranges
    cdef public uint32_t lost_end
    cdef public int64_t drain_round
    cdef public int64_t probe_rtt_done_at
    cdef public bint probe_rtt_round_done
    cdef public bint idle_restart
    cdef public int64_t prior_cwnd
    cdef public bint recovering
    cdef public int64_t cycle_at
    cdef public int64_t probe_wait
    cdef public int64_t probe_up_acks
    cdef public int64_t probe_up_count
    cdef public int64_t probe_up_rounds
    cdef public bint probe_samples
    cdef public bint too_high
    cdef public bint cautious
    @cython.locals(t=Tcb, rtt=int64_t)
    cpdef conn_init(self, Endpoint tcb)
    @cython.locals(t=Tcb, rs=Rate)
    cpdef sample(self, Endpoint tcb)
    cdef _reset_full_bw(self)
    cdef _full_bw(self, Rate rs)
    cdef _startup_losses(self, Tcb t, Rate rs)
    @cython.locals(full=int64_t)
    cdef _startup(self, Tcb t, Rate rs)
    cdef _enter(self, int64_t state, double pacing_gain, double cwnd_gain)
    cdef _start_down(self, Tcb t, Rate rs)
    cdef _start_refill(self, Rate rs)
    cdef _start_up(self, Tcb t, Rate rs)
    @cython.locals(state=int64_t, flight=int64_t)
    cdef _cycle(self, Tcb t, Rate rs)
    @cython.locals(probing_bw=bint)
    cdef bint _long_term(self, Tcb t, Rate rs) except -1
    cdef bint _time_to_go_down(self, Tcb t, Rate rs) except -1
    @cython.locals(steps=int64_t)
    cdef _probe_upward(self, Tcb t, Rate rs)
    @cython.locals(growth=int64_t)
    cdef _raise_slope(self, Tcb t)
    cdef bint _time_to_probe(self, Tcb t) except -1
    cdef bint _excessive(self, Tcb t, int64_t lost, int64_t in_flight) except -1
    @cython.locals(t=Tcb, gone=SentSegment, rs=Rate, lost=int64_t)
    cpdef segment_lost(self, Endpoint tcb, object seg)
    cdef _inflight_too_high(self, Tcb t, int64_t in_flight, bint app_limited)
    cdef _probe_rtt(self, Tcb t, Rate rs)
    cdef _probe_rtt_done(self, Tcb t, Rate rs)
    cdef int64_t _probe_rtt_window(self, Tcb t) except? -1
    @cython.locals(rate=int64_t)
    cdef _pace(self, Tcb t, double gain)
    @cython.locals(most=int64_t, cap=int64_t)
    cdef _window(self, Tcb t, Rate rs)
    cdef _save_cwnd(self, Tcb t)
    @cython.locals(t=Tcb)
    cpdef cong_signal(self, Endpoint tcb, int signal)
    @cython.locals(t=Tcb)
    cpdef undone(self, Endpoint tcb)
    @cython.locals(t=Tcb)
    cpdef after_idle(self, Endpoint tcb)
