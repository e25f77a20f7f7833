cimport cython
from libc.stdint cimport int64_t
from pystack_c.endpoint cimport Endpoint
from pystack_c.tcp.congestion.base cimport CongestionControl
from pystack_c.tcp.congestion.reno cimport initial_window
from pystack_c.tcp.rate cimport Rate
from pystack_c.tcp.tcb cimport Tcb

cdef class Bbr(CongestionControl):
    cdef public int64_t state
    cdef public double pacing_gain
    cdef public double cwnd_gain
    cdef public int64_t bw_now
    cdef public int64_t bw_last
    cdef public int64_t bw_lo
    cdef public int64_t bw
    cdef public int64_t inflight_hi
    cdef public int64_t inflight_lo
    cdef public int64_t bw_latest
    cdef public int64_t inflight_latest
    cdef public int64_t next_round_delivered
    cdef public bint round_start
    cdef public int64_t rounds
    cdef public int64_t loss_round_delivered
    cdef public int64_t lost_before_round
    cdef public bint after_probe_rtt
    cdef public int64_t loss_events
    cdef public int64_t full_bw
    cdef public int64_t full_bw_count
    cdef public bint full_bw_reached
    cdef public int64_t min_rtt
    cdef public int64_t min_rtt_at
    cdef public int64_t probe_rtt_min
    cdef public int64_t probe_rtt_min_at
    cdef public int64_t probe_rtt_done_at
    cdef public bint probe_rtt_round_done
    cdef public bint idle_restart
    cdef public int64_t prior_cwnd
    cdef public int64_t cycle_at
    cdef public int64_t rounds_since_probe
    cdef public int64_t probe_wait
    cdef public int64_t probe_up_acks
    cdef public int64_t probe_up_count
    cdef public int64_t probe_up_rounds
    cdef public int64_t stop_rounds
    cdef public bint sampling_up
    cdef public bint conserve
    @cython.locals(t=Tcb, rtt=int64_t)
    cpdef conn_init(self, Endpoint tcb)
    @cython.locals(t=Tcb, rs=Rate)
    cpdef sample(self, Endpoint tcb)
    cdef _latest(self, Tcb t, Rate rs)
    cdef _max_bandwidth(self, Rate rs)
    @cython.locals(probing=bint, much=bint, lost=int64_t)
    cdef _congestion(self, Tcb t, Rate rs)
    @cython.locals(expected=double, excess=double)
    cdef bint _too_much(self, Tcb t, int64_t lost, int64_t sent)
    cdef bint _excessive(self, Tcb t, Rate rs)
    cdef _inflight_too_high(self, Tcb t, Rate rs)
    @cython.locals(now=int64_t, expired=bint)
    cdef _min_rtt(self, Tcb t, Rate rs)
    cdef _enter(self, int state, double pacing_gain, double cwnd_gain)
    @cython.locals(top=int64_t)
    cdef _startup(self, Tcb t, Rate rs)
    cdef _start_down(self, Tcb t, Rate rs)
    cdef _reset_bounds(self)
    @cython.locals(state=int, flight=int64_t)
    cdef _probe_bw(self, Tcb t, Rate rs)
    @cython.locals(steps=int64_t, long_enough=bint, bounded=bint)
    cdef _probe_up(self, Tcb t, Rate rs)
    @cython.locals(growth=int64_t)
    cdef _raise_slope(self, Tcb t)
    @cython.locals(reno_rounds=int64_t)
    cdef bint _time_to_probe(self, Tcb t)
    @cython.locals(now=int64_t)
    cdef _probe_rtt(self, Tcb t, Rate rs)
    @cython.locals(bw=int64_t)
    cdef int64_t _bdp(self, double gain)
    cdef int64_t _target(self)
    cdef int64_t _with_headroom(self, Tcb t)
    cdef int64_t _probe_rtt_window(self, Tcb t)
    @cython.locals(rate=int64_t)
    cdef _pace(self, Tcb t)
    @cython.locals(most=int64_t, cap=int64_t)
    cdef _window(self, Tcb t, Rate rs)
    @cython.locals(t=Tcb)
    cpdef cong_signal(self, Endpoint tcb, int signal)
    @cython.locals(t=Tcb)
    cpdef undone(self, Endpoint tcb)
    cpdef after_idle(self, Endpoint tcb)
