cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.seqnum cimport seq_add, seq_diff, seq_le

cdef Py_ssize_t _TRIM_FROM

@cython.final
cdef class SentSegment:
    cdef public uint32_t seq
    cdef public uint32_t end
    cdef public int64_t sent_at
    cdef public bint sacked
    cdef public bint lost
    cdef public bint in_flight_again
    cdef public int retrans
    cdef public int syn_fin
    cdef public int gso
    cdef public bint push
    cdef public int64_t order
    cdef public int64_t delivered
    cdef public int64_t delivered_at
    cdef public int64_t first_sent_at
    cdef public int64_t lost_before
    cdef public int64_t tx_in_flight
    cdef public bint app_limited
    cpdef fill(self, uint32_t seq, uint32_t end, int64_t sent_at)
    cpdef int64_t length(self) noexcept
    @cython.locals(n=int64_t)
    cpdef int64_t data_length(self) noexcept
    cpdef int64_t pieces(self) noexcept

@cython.locals(seg=SentSegment)
cpdef SentSegment sent_segment(uint32_t seq, uint32_t end, int64_t sent_at)

@cython.final
cdef class RtxQueue:
    cdef public list segs
    cdef public Py_ssize_t first
    cdef public Py_ssize_t count
    cdef public int64_t sacked_out
    cdef public int64_t lost_out
    cdef public int64_t retrans_out
    cdef public int64_t transmissions
    cpdef begin(self)
    cpdef append(self, SentSegment seg)
    cpdef SentSegment head(self)
    @cython.locals(seg=SentSegment)
    cpdef pop_head(self)
    cpdef forget(self, SentSegment seg)
    cdef _take_out(self, SentSegment seg, int64_t n)
    @cython.locals(seg=SentSegment)
    cpdef trim_head(self, uint32_t seq)
    @cython.locals(seg=SentSegment, rest=SentSegment)
    cpdef split(self, Py_ssize_t i, uint32_t seq)
    @cython.locals(segs=list, item=object, seg=SentSegment, last=SentSegment, mine=bint)
    cpdef recut(self, int64_t mss)
    @cython.locals(seg=SentSegment)
    cpdef single(self, Py_ssize_t i)
    @cython.locals(low=Py_ssize_t, high=Py_ssize_t, mid=Py_ssize_t, seg=SentSegment)
    cpdef Py_ssize_t find(self, uint32_t seq)
    @cython.locals(n=int64_t)
    cpdef mark_sacked(self, SentSegment seg)
    @cython.locals(n=int64_t)
    cpdef mark_lost(self, SentSegment seg)
    cpdef mark_retransmitted(self, SentSegment seg, int64_t now)
    @cython.locals(n=Py_ssize_t, seg=SentSegment)
    cpdef Py_ssize_t next_lost(self, Py_ssize_t i)
    cpdef clear(self)

@cython.locals(q=RtxQueue)
cpdef RtxQueue new_rtxq()
cpdef bint covers(SentSegment seg, uint32_t left, uint32_t right) noexcept
