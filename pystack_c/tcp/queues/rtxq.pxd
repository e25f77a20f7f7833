cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.base.seqnum cimport seq_add, seq_diff
from pystack_c.tcp.loss.sackranges cimport SackRanges
from pystack_c.tcp.loss.scoreboard cimport Scoreboard
from pystack_c.tcp.queues.sentseg cimport SentSegment, find, sent_segment

cdef Py_ssize_t _TRIM_FROM

@cython.final
cdef class RtxQueue:
    cdef public list segs
    cdef public Py_ssize_t first
    cdef public Py_ssize_t count
    cdef public int64_t sacked_out
    cdef public int64_t lost_out
    cdef public int64_t retrans_out
    cdef public int64_t sacked_segs
    cdef public int64_t cuts
    cdef public int64_t transmissions
    cdef public Scoreboard board
    cpdef begin(self)
    cpdef append(self, SentSegment seg)
    cpdef SentSegment head(self)
    @cython.locals(seg=SentSegment)
    cpdef pop_head(self)
    @cython.locals(head=SentSegment)
    cpdef Scoreboard missing(self)
    @cython.locals(board=Scoreboard)
    cpdef forget(self, SentSegment seg)
    cdef _take_out(self, SentSegment seg, int64_t n)
    @cython.locals(seg=SentSegment)
    cpdef trim_head(self, uint32_t seq)
    @cython.locals(seg=SentSegment, rest=SentSegment)
    cpdef split(self, Py_ssize_t i, uint32_t seq)
    @cython.locals(seg=SentSegment, n=int64_t, at=int64_t, size=int64_t)
    cpdef cut(self, Py_ssize_t i, uint32_t seq)
    @cython.locals(segs=list, item=object, seg=SentSegment, last=SentSegment, mine=bint)
    cpdef recut(self, int64_t mss)
    @cython.locals(board=Scoreboard, segs=list, head=SentSegment)
    cdef _list_anew(self)
    @cython.locals(seg=SentSegment)
    cpdef single(self, Py_ssize_t i)
    cpdef Py_ssize_t find(self, uint32_t seq) except? -1
    @cython.locals(n=int64_t)
    cpdef mark_sacked(self, SentSegment seg)
    @cython.locals(n=int64_t)
    cpdef mark_lost(self, SentSegment seg)
    @cython.locals(board=Scoreboard)
    cpdef mark_retransmitted(self, SentSegment seg, int64_t now)
    @cython.locals(board=Scoreboard, seg=SentSegment)
    cpdef Py_ssize_t next_lost(self) except? -1
    @cython.locals(item=object, seg=SentSegment)
    cpdef nothing_lost(self)
    @cython.locals(item=object, seg=SentSegment)
    cpdef nothing_sacked(self)
    cpdef calm(self)
    cpdef clear(self)

@cython.locals(q=RtxQueue)
cpdef RtxQueue new_rtxq()
