cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.base.seqnum cimport seq_diff, seq_ge, seq_gt, seq_lt
from pystack_c.tcp.congestion cimport rate
from pystack_c.tcp cimport quirks, tell
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.loss.sackranges cimport SackRange
from pystack_c.tcp.loss.scoreboard cimport Scoreboard, fresh
from pystack_c.tcp.loss.seglists cimport SegHeap
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer

cpdef bint in_use(Tcb tcb) except -1
cpdef bint sent_after(int64_t order1, uint32_t end1, int64_t order2, uint32_t end2) noexcept
@cython.locals(n=int64_t)
cpdef lose(Tcb tcb, SentSegment seg, str why, str rfc)
@cython.locals(newly=bint)
cpdef count_lost(Tcb tcb, SentSegment seg)
@cython.locals(now=int64_t, rtt=int64_t, why=str)
cpdef delivered(Tcb tcb, SentSegment seg)
@cython.locals(distance=int64_t)
cpdef note_reordering(Tcb tcb, SentSegment seg)
cpdef dsack_seen(Tcb tcb)
cpdef recovery_ended(Tcb tcb)
@cython.locals(window=int64_t)
cpdef int64_t reordering_window(Tcb tcb) except? -1
@cython.locals(core=Core, q=RtxQueue, window=int64_t, why=str, wait=int64_t)
cpdef detect_loss(Tcb tcb)
@cython.locals(board=Scoreboard, seg=SentSegment, i=Py_ssize_t, n=Py_ssize_t)
cdef look_at(Tcb tcb, RtxQueue q)
@cython.locals(board=Scoreboard, i=Py_ssize_t, other=SentSegment)
cdef bint is_near(Tcb tcb, RtxQueue q, SentSegment seg) except? -1
@cython.locals(board=Scoreboard, again=SegHeap, second=SentSegment, seg=SentSegment)
cdef lose_overdue(Tcb tcb, int64_t limit, str why)
@cython.locals(wait=int64_t, seg=SentSegment)
cdef int64_t longest_wait(Scoreboard board, int64_t limit) except? -1
@cython.locals(q=RtxQueue, limit=int64_t, i=Py_ssize_t, seg=SentSegment)
cpdef mark_on_timeout(Tcb tcb, bint everything)
@cython.locals(pto=int64_t)
cpdef int64_t probe_timeout(Tcb tcb) except? -1
cpdef note_probe(Tcb tcb, bint retransmission)
cpdef bint probe_answered(Tcb tcb, uint32_t ack, bint dsack, bint plain_duplicate) except -1
@cython.locals(i=Py_ssize_t, seg=SentSegment, found=SackRange)
cpdef Py_ssize_t last_segment(RtxQueue q) except? -1
cdef int64_t _slack(Tcb tcb) noexcept
