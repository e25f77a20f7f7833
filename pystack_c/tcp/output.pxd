cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_gt
from pystack_c.tcp.congestion cimport chrono, rate
from pystack_c.tcp.opening cimport fastopen
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp cimport hold, mtuprobe, tell
from pystack_c.tcp.loss.retransmit cimport retransmit_lost
from pystack_c.tcp.queues.sentseg cimport SentSegment, sent_segment
from pystack_c.tcp.loss.rtt cimport backed_off
from pystack_c.tcp.segment cimport send_segment
from pystack_c.tcp.opening.syn cimport send_syn
from pystack_c.tcp.optionroom cimport accecn_option, new_data_options
from pystack_c.tcp.mss cimport have_route
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.rtotimer cimport arm_retransmit, set_persist_timer, set_rto_timer
from pystack_c.tcp.nagle cimport may_send_small, small_follows
from pystack_c.tcp.congestion.idle cimport after_idle, note_cwnd_use

cdef int64_t _HELD

@cython.locals(core=Core, state=int, before=uint32_t, records=Py_ssize_t)
cpdef tcp_output(Tcb tcb)
cpdef bint waiting(Tcb tcb) except -1
@cython.locals(reason=str)
cpdef send_ack(Tcb tcb)
@cython.locals(core=Core, seg=SentSegment, n=int64_t, why=str)
cpdef first_syn(Tcb tcb)
@cython.locals(mss=int64_t, burst=int, n=int64_t, unsent=int64_t)
cpdef send_new(Tcb tcb)
@cython.locals(usable=int64_t)
cdef int64_t peer_room(Tcb tcb) noexcept
@cython.locals(room=int64_t)
cdef int64_t path_room(Tcb tcb, int64_t mss) noexcept
@cython.locals(offset=int64_t, usable=int64_t, room=int64_t, n=int64_t, rest=int64_t, why=str)
cdef int64_t next_size(Tcb tcb, int64_t mss, int64_t unsent) except -2
@cython.locals(offset=int64_t, room=int64_t, push=int)
cdef send_next(Tcb tcb, int64_t mss, int64_t n, int64_t unsent)
@cython.locals(usable=int64_t, room=int64_t, limited=bint, pipe=int64_t)
cdef note_limits(Tcb tcb, int64_t mss, int64_t unsent, bint sent, bint held)
@cython.locals(old=int64_t)
cdef one_segment(Tcb tcb)
cdef bint ends_burst(Tcb tcb, int64_t n, int64_t mss) except -1
@cython.locals(offset=int64_t, unsent=int64_t, usable=int64_t, room=int64_t, n=int64_t, why=str)
cpdef bint mtu_probe_waits(Tcb tcb, int64_t mss) except -1
@cython.locals(gso_max=int64_t)
cpdef int64_t group_size(Tcb tcb, int64_t n, int64_t mss, int64_t unsent) except? -1
@cython.locals(core=Core, flags=int, end=uint32_t, seq=uint32_t, seg=SentSegment)
cpdef send_data(Tcb tcb, int64_t offset, int64_t n, int64_t mss, bint final, int last)
@cython.locals(core=Core, seg=SentSegment)
cpdef send_fin(Tcb tcb)
