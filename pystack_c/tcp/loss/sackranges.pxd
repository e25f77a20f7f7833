cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.base.seqnum cimport seq_diff, seq_le

cdef Py_ssize_t _TRIM_FROM

@cython.final
cdef class SackRange:
    cdef public uint32_t left
    cdef public uint32_t right
    cdef public int64_t pieces

@cython.final
cdef class SackRanges:
    cdef public list ranges
    cdef public Py_ssize_t first
    cdef public Py_ssize_t last
    @cython.locals(low=Py_ssize_t, high=Py_ssize_t, mid=Py_ssize_t, found=SackRange)
    cpdef Py_ssize_t find(self, uint32_t seq) except? -1
    @cython.locals(i=Py_ssize_t, before=SackRange, after=SackRange)
    cpdef add(self, uint32_t left, uint32_t right, int64_t pieces)
    @cython.locals(found=SackRange)
    cdef Py_ssize_t _before(self, uint32_t left) except? -1
    @cython.locals(found=SackRange)
    cpdef uint32_t end(self, uint32_t seq) except? 0xFFFFFFFF
    @cython.locals(n=Py_ssize_t, i=Py_ssize_t, found=SackRange)
    cpdef acked(self, uint32_t seq)
    cpdef SackRange top(self)
    @cython.locals(above=int64_t, pieces=int64_t, i=Py_ssize_t, found=SackRange)
    cpdef SackRange below(self, int64_t thresh, int64_t limit)
