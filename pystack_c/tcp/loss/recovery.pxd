cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.counters cimport Counters
from pystack_c.base.seqnum cimport seq_diff, seq_ge, seq_gt
from pystack_c.tcp cimport mtuprobe, tell
from pystack_c.tcp.loss cimport rack, undo
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.loss.scoreboard cimport fresh
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.tcp.loss.prr cimport reduce_rate
from pystack_c.tcp.loss.marking cimport lose_head, mark_holes, mark_losses

@cython.locals(old=int64_t, ssthresh=int64_t)
cpdef grow_by_sack(Tcb tcb)
@cython.locals(old=int64_t, ssthresh=int64_t, lost=int64_t, out=int64_t, first=bint)
cpdef after_ack(Tcb tcb, int64_t acked, bint duplicate, uint32_t tsecr, bint plain)
cdef int64_t _grows_by(Tcb tcb, int64_t acked) noexcept
cpdef find_losses(Tcb tcb)
@cython.locals(config=Config)
cdef _take_back(Tcb tcb, int64_t acked, uint32_t tsecr)
@cython.locals(phase=int)
cpdef overdue(Tcb tcb)
@cython.locals(old=int64_t, ssthresh=int64_t, slow=bint, fresh=int64_t)
cdef _new_data_acked(Tcb tcb, int64_t acked)
cpdef partial_ack(Tcb tcb, int64_t acked)
@cython.locals(old=int64_t)
cdef end_cwr(Tcb tcb, str why)
@cython.locals(counters=Counters, old=int64_t, ssthresh=int64_t, left=int64_t, why=str)
cpdef enter_recovery(Tcb tcb)
@cython.locals(old=int64_t, ssthresh=int64_t)
cpdef leave_recovery(Tcb tcb)
@cython.locals(fields=dict)
cpdef set_phase(Tcb tcb, int phase, str why, str rfc)
@cython.locals(q=RtxQueue, old=int64_t, ssthresh=int64_t, fresh=bint, head=SentSegment, everything=bint)
cpdef timeout(Tcb tcb)
@cython.locals(old=int64_t, ssthresh=int64_t, why=str)
cdef start_over(Tcb tcb)
@cython.locals(counters=Counters)
cdef count_failure(Tcb tcb)
cdef all_lost(Tcb tcb, bint everything, str why, str rfc)
@cython.locals(config=Config)
cdef bint duplicate_counts(Tcb tcb) except -1
