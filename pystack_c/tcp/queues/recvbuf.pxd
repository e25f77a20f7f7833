cimport cython
cimport pystack_c.const as C
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy
from pystack_c.packet cimport cut
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.tcp.queues.pieces cimport Piece, Run, join, keep, new_piece

cdef Py_ssize_t _TRIM_FROM, _COPY_UP_TO

@cython.final
cdef class RecvBuf:
    cdef public int64_t size
    cdef public int64_t used
    cdef public list pieces
    cdef public Py_ssize_t first
    cdef public list ooo
    cdef public int64_t ooo_bytes
    cdef public int64_t ooo_pieces
    cdef public tuple known
    cdef public int joined
    cpdef begin(self, int64_t size)
    cpdef put(self, bytes data, Py_ssize_t begin, Py_ssize_t end)
    @cython.locals(i=Py_ssize_t, piece=Piece, have=Py_ssize_t, take=Py_ssize_t, result=bytes)
    cpdef bytes get(self, Py_ssize_t n, bint peek)
    @cython.locals(parts=list, i=Py_ssize_t, piece=Piece, have=Py_ssize_t, take=Py_ssize_t)
    cdef bytes _gather(self, Py_ssize_t n)
    cpdef drop(self, Py_ssize_t n)
    @cython.locals(i=Py_ssize_t, piece=Piece, have=Py_ssize_t)
    cdef _consume(self, Py_ssize_t n)
    @cython.locals(i=Py_ssize_t, piece=Piece, start=Py_ssize_t, at=Py_ssize_t, value=int)
    cpdef int cut(self, Py_ssize_t offset)
    @cython.locals(right=uint32_t, i=Py_ssize_t, before=int64_t, run=Run, stop=uint32_t, gap=int64_t, n=int64_t)
    cpdef bint insert(self, bytes data, Py_ssize_t begin, Py_ssize_t end, uint32_t seq) except? -1
    @cython.locals(run=Run, after=Run, stop=uint32_t, gap=int64_t)
    cdef int64_t _grow(self, Py_ssize_t i, bytes data, Py_ssize_t begin, uint32_t seq, uint32_t right) except? -1
    cdef _count(self, int64_t n, bint piece)
    @cython.locals(i=Py_ssize_t, run=Run)
    cpdef bint touches(self, uint32_t seq, uint32_t right) except? -1
    cdef _also_known(self, uint32_t left, uint32_t edge, uint32_t right)
    @cython.locals(low=Py_ssize_t, high=Py_ssize_t, mid=Py_ssize_t, run=Run)
    cdef Py_ssize_t _position(self, uint32_t seq)
    @cython.locals(count=Py_ssize_t, run=Run, old=int64_t, item=object)
    cpdef uint32_t pull(self, uint32_t rcv_nxt)
    @cython.locals(piece=Piece, n=int64_t, item=object)
    cdef _move(self, Run run, int64_t old)
    cpdef forget_ooo(self)
    @cython.locals(i=Py_ssize_t, run=Run)
    cpdef tuple block_at(self, uint32_t seq)
    cpdef clear(self)

@cython.locals(buf=RecvBuf)
cpdef RecvBuf new_recvbuf(int64_t size)

# Return the first n bytes of the pieces from index i on, as one new object.
cdef inline bytes gather(list pieces, Py_ssize_t i, Py_ssize_t n):
    cdef bytes result = PyBytes_FromStringAndSize(NULL, n)
    cdef char* to = PyBytes_AS_STRING(result)
    cdef Piece piece
    cdef Py_ssize_t take
    while n > 0:
        piece = pieces[i]
        take = piece.end - piece.begin
        if take > n:
            take = n
        memcpy(to, PyBytes_AS_STRING(piece.data) + piece.begin, take)
        to += take
        n -= take
        i += 1
    return result
