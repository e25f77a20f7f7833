cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.route cimport Dst
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_ge, seq_gt
from pystack_c.tcp.congestion cimport chrono, rate
from pystack_c.tcp.opening cimport fastopen
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp cimport mtuprobe, tell
from pystack_c.tcp.loss.rack cimport probe_timeout
from pystack_c.tcp.loss.retransmit cimport retransmit_lost
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sentseg cimport SentSegment, sent_segment
from pystack_c.tcp.loss.rtt cimport backed_off
from pystack_c.tcp.segment cimport accecn_option, have_route, new_data_options, send_segment, send_syn
from pystack_c.tcp.queues.sendbuf cimport SendBuf
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer, new_timer

@cython.locals(core=Core, state=int, before=uint32_t)
cpdef tcp_output(Tcb tcb)
cpdef bint waiting(Tcb tcb) except -1
cpdef schedule(Tcb tcb)
@cython.locals(reason=str)
cpdef send_ack(Tcb tcb)
@cython.locals(core=Core, seg=SentSegment, n=int64_t, why=str)
cpdef first_syn(Tcb tcb)
@cython.locals(buf=SendBuf, mss=int64_t, burst=int, offset=int64_t, unsent=int64_t, usable=int64_t, room=int64_t, n=int64_t, rest=int64_t, push=int, held=bint, limited=bint, pipe=int64_t)
cpdef send_new(Tcb tcb)
@cython.locals(old=int64_t)
cdef one_segment(Tcb tcb)
cdef bint ends_burst(Tcb tcb, int64_t n, int64_t mss, int64_t room) except -1
@cython.locals(offset=int64_t, unsent=int64_t, usable=int64_t, room=int64_t, n=int64_t)
cpdef bint mtu_probe_waits(Tcb tcb, int64_t mss) except -1
@cython.locals(out=int64_t)
cpdef note_cwnd_use(Tcb tcb, bint limited)
@cython.locals(gso_max=int64_t)
cpdef int64_t group_size(Tcb tcb, int64_t n, int64_t mss, int64_t unsent)
cdef bint small_follows(Tcb tcb)
cdef bint corked(Tcb tcb)
cdef bint nagle_holds(Tcb tcb)
cpdef bint may_send_small(Tcb tcb, int64_t n, int64_t unsent, int64_t usable)
@cython.locals(core=Core, why=str, rfc=str)
cpdef explain_hold(Tcb tcb, int64_t unsent, int64_t usable, int64_t room)
@cython.locals(core=Core, flags=int, end=uint32_t, seq=uint32_t, seg=SentSegment)
cpdef send_data(Tcb tcb, int64_t offset, int64_t n, int64_t mss, bint final, int last)
@cython.locals(core=Core, seg=SentSegment)
cpdef send_fin(Tcb tcb)
@cython.locals(old=int64_t, ssthresh=int64_t, idle=int64_t, how=int, why=str)
cpdef after_idle(Tcb tcb)
@cython.locals(window=int64_t)
cdef decay(Tcb tcb, int64_t old, int64_t idle, int64_t every)
@cython.locals(core=Core, pto=int64_t, why=str)
cpdef set_rto_timer(Tcb tcb, int64_t deadline)
@cython.locals(core=Core, why=str)
cpdef set_rto_alone(Tcb tcb, int64_t deadline)
@cython.locals(timer=Timer)
cpdef take_rto_timer(Tcb tcb, int kind)
@cython.locals(text=str)
cpdef str explain_rto(Tcb tcb, int64_t left)
@cython.locals(timer=Timer, armed=bint)
cpdef arm_retransmit(Tcb tcb, bint sent_now)
@cython.locals(core=Core, wait=int64_t)
cpdef set_persist_timer(Tcb tcb)
