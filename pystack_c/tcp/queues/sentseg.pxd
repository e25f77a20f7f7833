cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.base.seqnum cimport seq_diff, seq_le

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
    cdef public bint part
    cdef public bint gone
    cdef public bint queued
    cdef public int place
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
    @cython.locals(n=int64_t)
    cpdef int64_t whole_pieces(self) noexcept

@cython.locals(seg=SentSegment)
cpdef SentSegment sent_segment(uint32_t seq, uint32_t end, int64_t sent_at)

cpdef bint covers(SentSegment seg, uint32_t left, uint32_t right) noexcept
@cython.locals(low=Py_ssize_t, high=Py_ssize_t, mid=Py_ssize_t, seg=SentSegment)
cpdef Py_ssize_t find(list segs, Py_ssize_t first, uint32_t seq, bint by_end) except -1
