cimport cython
from libc.stdint cimport int64_t
from pystack_c.endpoint cimport Endpoint
from pystack_c.tcp.congestion.base cimport CongestionControl
from pystack_c.tcp.congestion.reno cimport initial_window
from pystack_c.tcp.congestion.rate cimport Rate
from pystack_c.tcp.tcb cimport Tcb

cdef class BbrModel(CongestionControl):
    cdef public int64_t state
    cdef public bint full_bw_reached
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
    cdef public int64_t rounds_since_probe
    cdef public int64_t loss_round_delivered
    cdef public bint loss_round_start
    cdef public bint loss_in_round
    cdef public int64_t seen_delivered
    cdef public int64_t seen_lost
    cdef public int64_t late_delivered
    cdef public int64_t late_lost
    cdef public bint saved
    cdef public int64_t undo_state
    cdef public int64_t undo_lost
    cdef public int64_t undo_bw_lo
    cdef public int64_t undo_inflight_lo
    cdef public int64_t undo_inflight_hi
    cdef public int64_t min_rtt
    cdef public int64_t min_rtt_at
    cdef public int64_t probe_rtt_min
    cdef public int64_t probe_rtt_min_at
    cdef public bint probe_rtt_expired
    cdef public int64_t extra_acked
    cdef public int64_t extra_acked_before
    cdef public int64_t extra_rounds
    cdef public int64_t extra_start
    cdef public int64_t extra_delivered
    @cython.locals(now=int64_t)
    cdef start_model(self, Tcb t)
    cdef start_round(self, Rate rs)
    cdef latest_signals(self, Rate rs)
    cdef advance_signals(self, Rate rs)
    cdef reset_signals(self)
    cdef int64_t max_bw(self) except? -1
    cdef update_max_bw(self, Rate rs)
    cdef advance_max_bw(self)
    @cython.locals(rs=Rate)
    cdef note_loss(self, Tcb t, int64_t n)
    cdef save_bounds(self, int64_t lost)
    @cython.locals(rs=Rate)
    cdef restore_bounds(self, Tcb t)
    cdef reset_bounds(self)
    @cython.locals(lost=int64_t, delivered=int64_t, probing=bint)
    cdef lower_bounds(self, Tcb t, Rate rs)
    @cython.locals(expected=double, excess=double)
    cdef bint too_much(self, Tcb t, int64_t lost, int64_t sent) except -1
    cdef bint lossy(self, Tcb t) except -1
    @cython.locals(now=int64_t, interval=int64_t)
    cdef update_min_rtt(self, Tcb t, Rate rs)
    @cython.locals(now=int64_t, expected=int64_t)
    cdef update_aggregation(self, Tcb t, Rate rs)
    cdef int64_t bdp(self, Tcb t, int64_t bw, double gain) except? -1
    cdef int64_t budget(self, Tcb t, int64_t volume) except? -1
    cdef int64_t target(self, Tcb t) except? -1
    cdef int64_t with_headroom(self, Tcb t) except? -1
