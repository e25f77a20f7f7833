cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.base.seqnum cimport seq_gt, seq_le, seq_lt
from pystack_c.tcp.queues.sentseg cimport SentSegment, find

cdef Py_ssize_t _TRIM_FROM

@cython.final
cdef class SegList:
    cdef public list items
    cdef public Py_ssize_t first
    cpdef append(self, SentSegment seg)
    cpdef SentSegment front(self)
    cpdef SentSegment back(self)
    cpdef pop_front(self)
    cpdef pop_back(self)
    cpdef Py_ssize_t by_seq(self, uint32_t seq) except? -1
    @cython.locals(low=Py_ssize_t, high=Py_ssize_t, mid=Py_ssize_t, seg=SentSegment)
    cpdef Py_ssize_t by_time(self, int64_t order, uint32_t end) except? -1
    cpdef insert(self, Py_ssize_t i, SentSegment seg)

@cython.final
cdef class SegHeap:
    cdef public list items
    @cython.locals(items=list, i=Py_ssize_t, up=Py_ssize_t, above=SentSegment)
    cpdef push(self, SentSegment seg)
    cpdef SentSegment top(self)
    @cython.locals(items=list, seg=SentSegment, n=Py_ssize_t, i=Py_ssize_t, down=Py_ssize_t, below=SentSegment, other=SentSegment)
    cpdef pop(self)
