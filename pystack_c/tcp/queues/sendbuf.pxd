cimport cython
from libc.stdint cimport int64_t
from pystack_c.packet cimport cut

cdef Py_ssize_t _JOIN_BELOW, _TRIM_FROM

@cython.final
cdef class SendBuf:
    cdef public int64_t head
    cdef public int64_t tail
    cdef public list chunks
    cdef public Py_ssize_t first
    cdef public int64_t first_at
    cdef public Py_ssize_t cursor
    cdef public bytes constant
    cdef public int64_t shared
    cdef public int64_t cursor_at
    cpdef begin(self)
    @cython.locals(n=Py_ssize_t, last=bytes)
    cpdef append(self, bytes data)
    cpdef int64_t own(self) except? -1
    @cython.locals(i=Py_ssize_t, at=int64_t, chunk=bytes)
    cdef Py_ssize_t _find(self, int64_t offset) except? -1
    @cython.locals(i=Py_ssize_t, chunk=bytes, begin=Py_ssize_t, parts=list, left=Py_ssize_t)
    cpdef object peek(self, int64_t offset, Py_ssize_t n)
    @cython.locals(i=Py_ssize_t, count=Py_ssize_t, chunk=bytes)
    cpdef ack(self, int64_t offset)
    cpdef clear(self)

@cython.locals(buf=SendBuf)
cpdef SendBuf new_sendbuf()
