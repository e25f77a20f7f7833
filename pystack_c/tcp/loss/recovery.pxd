cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.counters cimport Counters
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.tcp cimport mtuprobe, tell
from pystack_c.tcp.loss cimport rack, undo
from pystack_c.tcp.congestion cimport rate
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.loss.sackranges cimport SackRange
from pystack_c.tcp.loss.scoreboard cimport Scoreboard, fresh
from pystack_c.tcp.queues.sentseg cimport SentSegment, covers
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(q=RtxQueue, before=int64_t, left=uint32_t, right=uint32_t, fields=dict, why=str)
cpdef int64_t update_scoreboard(Tcb tcb, list blocks)
@cython.locals(n=int64_t, at=int64_t, size=int64_t)
cdef uint32_t whole_segments(SentSegment seg, uint32_t edge, bint up)
@cython.locals(i=Py_ssize_t, seg=SentSegment, begin=uint32_t, end=uint32_t, edge=uint32_t)
cdef _mark_block(Tcb tcb, RtxQueue q, uint32_t left, uint32_t right)
@cython.locals(n=int64_t, pieces=int)
cpdef delivered(Tcb tcb, SentSegment seg)
@cython.locals(thresh=int64_t, found=SackRange)
cpdef mark_losses(Tcb tcb)
@cython.locals(found=SackRange)
cpdef mark_holes(Tcb tcb)
@cython.locals(q=RtxQueue, board=Scoreboard, low=Py_ssize_t, i=Py_ssize_t, seg=SentSegment)
cdef lose_below(Tcb tcb, uint32_t seq)
cpdef lose_by_count(Tcb tcb, SentSegment seg)
@cython.locals(q=RtxQueue, seg=SentSegment)
cpdef lose_head(Tcb tcb)
@cython.locals(old=int64_t, ssthresh=int64_t)
cpdef grow_by_sack(Tcb tcb)
@cython.locals(old=int64_t, ssthresh=int64_t, lost=int64_t, out=int64_t, first=bint)
cpdef after_ack(Tcb tcb, int64_t acked, bint duplicate, uint32_t tsecr, bint plain)
cpdef find_losses(Tcb tcb)
@cython.locals(config=Config)
cdef _take_back(Tcb tcb, int64_t acked, uint32_t tsecr)
@cython.locals(old=int64_t, pipe=int64_t, quota=int64_t, limit=int64_t)
cpdef reduce_rate(Tcb tcb, int64_t newly, bint safe)
@cython.locals(phase=int)
cpdef overdue(Tcb tcb)
@cython.locals(old=int64_t, ssthresh=int64_t, slow=bint, fresh=int64_t)
cdef _new_data_acked(Tcb tcb, int64_t acked)
@cython.locals(left=uint32_t, right=uint32_t, below=bint, inside=bint, left2=uint32_t, right2=uint32_t, counters=Counters, n=int64_t)
cpdef note_dsack(Tcb tcb, list blocks)
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
cdef bint duplicate_counts(Tcb tcb)
