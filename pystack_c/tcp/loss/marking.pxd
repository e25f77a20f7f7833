cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.counters cimport Counters
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_ge, seq_le, seq_lt
from pystack_c.tcp cimport quirks, tell
from pystack_c.tcp.loss cimport rack
from pystack_c.tcp.congestion cimport rate
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.loss.sackranges cimport SackRange
from pystack_c.tcp.loss.scoreboard cimport Scoreboard, fresh
from pystack_c.tcp.queues.sentseg cimport SentSegment, covers
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(q=RtxQueue, before=int64_t, left=uint32_t, right=uint32_t, fields=dict, why=str)
cpdef int64_t update_scoreboard(Tcb tcb, list blocks) except? -1
@cython.locals(n=int64_t, at=int64_t, size=int64_t)
cdef uint32_t whole_segments(SentSegment seg, uint32_t edge, bint up) except? 0xFFFFFFFF
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
@cython.locals(left=uint32_t, right=uint32_t, below=bint, inside=bint, left2=uint32_t, right2=uint32_t, counters=Counters, n=int64_t)
cpdef note_dsack(Tcb tcb, list blocks)
