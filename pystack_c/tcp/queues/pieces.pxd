cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.packet cimport cut
from pystack_c.base.seqnum cimport seq_add

cdef Py_ssize_t _JOIN_BELOW, _JOIN_UP_TO

@cython.final
cdef class Piece:
    cdef public bytes data
    cdef public Py_ssize_t begin
    cdef public Py_ssize_t end
    cpdef fill(self, bytes data, Py_ssize_t begin, Py_ssize_t end)

@cython.locals(piece=Piece)
cpdef Piece new_piece(bytes data, Py_ssize_t begin, Py_ssize_t end)
cpdef Piece keep(bytes data, Py_ssize_t begin, Py_ssize_t end)
@cython.locals(n=Py_ssize_t, have=Py_ssize_t)
cpdef bint join(Piece last, bytes data, Py_ssize_t begin, Py_ssize_t end) except? -1

@cython.final
cdef class Run:
    cdef public uint32_t seq
    cdef public uint32_t right
    cdef public list pieces
    cpdef bint put_behind(self, bytes data, Py_ssize_t begin, Py_ssize_t end) except? -1
    @cython.locals(n=Py_ssize_t, first=Piece, have=Py_ssize_t)
    cpdef bint put_before(self, bytes data, Py_ssize_t begin, Py_ssize_t end) except? -1
    cpdef take(self, Run after)
