cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.base.seqnum cimport seq_lt
from pystack_c.tcp.loss.sackranges cimport SackRanges
from pystack_c.tcp.loss.seglists cimport SegHeap, SegList
from pystack_c.tcp.queues.sentseg cimport SentSegment

cdef int _NOWHERE, _LATE, _AGAIN, _OVERDUE, _BEYOND, _CROWD

@cython.final
cdef class Scoreboard:
    cdef public SackRanges sacks
    cdef public SegHeap waiting
    cdef public SegList late
    cdef public SegList again
    cdef public SegList overdue
    cdef public SegHeap beyond
    cdef public uint32_t edge
    cdef public uint32_t whole
    cdef public uint32_t counted
    cdef public Py_ssize_t crowd
    cpdef begin(self, uint32_t seq)
    cpdef acked(self, SentSegment seg)
    cpdef lost(self, SentSegment seg)
    @cython.locals(seg=SentSegment)
    cpdef SentSegment next_lost(self)
    @cython.locals(item=object, seg=SentSegment)
    cpdef none_lost(self)
    @cython.locals(line=SegList, i=Py_ssize_t, stand_in=SentSegment)
    cpdef leave(self, SentSegment seg)
    cpdef sent_again(self, SentSegment seg)
    @cython.locals(line=SegList, item=object, seg=SentSegment)
    cdef _thin_out(self)
    cpdef split(self, SentSegment seg, SentSegment rest)
    @cython.locals(seg=SentSegment)
    cpdef SentSegment first_late(self)
    @cython.locals(seg=SentSegment)
    cpdef SentSegment last_late(self)
    @cython.locals(seg=SentSegment)
    cpdef SentSegment first_again(self)
    @cython.locals(seg=SentSegment)
    cpdef SentSegment first_overdue(self)
    @cython.locals(seg=SentSegment)
    cpdef SentSegment last_overdue(self)
    @cython.locals(seg=SentSegment)
    cpdef SentSegment first_beyond(self)
    cpdef becomes_late(self, SentSegment seg)
    cpdef becomes_overdue(self, SentSegment seg, bint near)
    cpdef comes_near(self, SentSegment seg)
    cpdef take_late(self, SentSegment seg)
    cpdef take_overdue(self, SentSegment seg)
    @cython.locals(item=object, seg=SentSegment)
    cpdef bint calm(self) except? -1
    @cython.locals(found=list, i=Py_ssize_t, item=object, seg=SentSegment, entry=tuple)
    cpdef rebuild(self, list segs, uint32_t seq)

cpdef bint fresh(SentSegment seg) noexcept
cpdef bint out_again(SentSegment seg) noexcept
