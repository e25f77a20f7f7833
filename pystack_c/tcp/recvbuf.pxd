cimport cython
cimport pystack_c.const as C
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy
from pystack_c.packet cimport cut
from pystack_c.seqnum cimport seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt

cdef Py_ssize_t _JOIN_BELOW, _JOIN_UP_TO, _TRIM_FROM

@cython.final
cdef class Piece:
    cdef public bytes data
    cdef public Py_ssize_t begin
    cdef public Py_ssize_t end
    cdef public uint32_t seq
    cpdef fill(self, bytes data, Py_ssize_t begin, Py_ssize_t end, uint32_t seq)

@cython.locals(piece=Piece)
cpdef Piece new_piece(bytes data, Py_ssize_t begin, Py_ssize_t end, uint32_t seq)

@cython.final
cdef class RecvBuf:
    cdef public int64_t size
    cdef public int64_t used
    cdef public list pieces
    cdef public Py_ssize_t first
    cdef public list ooo
    cdef public int64_t ooo_bytes
    cdef public tuple known
    cdef public int joined
    cpdef begin(self, int64_t size)
    @cython.locals(n=Py_ssize_t, last=Piece, have=Py_ssize_t)
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
    @cython.locals(right=uint32_t, i=Py_ssize_t, before=Piece, edge=uint32_t, new=bint, after=Piece, stop=uint32_t, gap=int64_t, skip=int64_t)
    cpdef bint insert(self, bytes data, Py_ssize_t begin, Py_ssize_t end, uint32_t seq) except? -1
    cdef _also_known(self, uint32_t left, uint32_t edge, uint32_t right)
    @cython.locals(low=Py_ssize_t, high=Py_ssize_t, mid=Py_ssize_t, piece=Piece)
    cdef Py_ssize_t _position(self, uint32_t seq)
    @cython.locals(count=Py_ssize_t, piece=Piece, n=int64_t, old=int64_t, item=object)
    cpdef uint32_t pull(self, uint32_t rcv_nxt)
    @cython.locals(i=Py_ssize_t, piece=Piece, left=uint32_t, right=uint32_t, j=Py_ssize_t)
    cpdef tuple block_at(self, uint32_t seq)
    cpdef clear(self)

@cython.locals(buf=RecvBuf)
cpdef RecvBuf new_recvbuf(int64_t size)

# The first n bytes of the pieces from number i on, in an object of their own.
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
