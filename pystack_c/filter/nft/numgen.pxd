cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from pystack_c.filter.nft.exprs cimport Expr
from pystack_c.filter.nft.view cimport View

@cython.final
cdef class Counting(Expr):
    cdef public int64_t modulus
    cdef public int64_t offset
    cdef public int64_t next

@cython.final
cdef class Drawing(Expr):
    cdef public uint64_t modulus
    cdef public int64_t offset

@cython.final
cdef class Hash(Expr):
    cdef public Expr inner
    cdef public tuple sizes
    cdef public uint64_t modulus
    cdef public uint32_t seed
    cdef public int64_t offset

cdef uint32_t _rol(uint32_t word, int count) noexcept
@cython.locals(p="const unsigned char*", left=Py_ssize_t, at=Py_ssize_t, a=uint32_t, b=uint32_t, c=uint32_t, i=int, word=uint32_t)
cpdef uint32_t jhash(bytes data, uint32_t seed) noexcept
