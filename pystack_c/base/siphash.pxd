cimport cython
from libc.stdint cimport uint64_t
cimport pystack_c.const as C

cdef extern from *:
    """
    /* The hash of a pair is computed for nearly every packet. With its rounds unrolled it takes a third less. */
    #if defined(__PYX_HAVE__pystack_c__base__siphash) && defined(__GNUC__) && !defined(__clang__)
    #pragma GCC optimize("O3")
    #endif
    """

cdef uint64_t _M64, _S0, _S1, _S2, _S3

@cython.final
cdef class SipHash:
    cdef uint64_t k0
    cdef uint64_t k1
    cdef uint64_t v0
    cdef uint64_t v1
    cdef uint64_t v2
    cdef uint64_t v3
    cpdef begin(self)
    @cython.locals(a=uint64_t, b=uint64_t, c=uint64_t, d=uint64_t, _=int)
    cdef void _rounds(self, int count) noexcept
    cpdef word(self, uint64_t value)
    cpdef uint64_t end(self, uint64_t tail, uint64_t length) except? 0xFFFFFFFFFFFFFFFF
    @cython.locals(p="const unsigned char*", n=Py_ssize_t, at=Py_ssize_t, i=Py_ssize_t, value=uint64_t, byte=uint64_t)
    cpdef uint64_t hash(self, bytes data) except? 0xFFFFFFFFFFFFFFFF
    @cython.locals(a=uint64_t, b=uint64_t, c=uint64_t, d=uint64_t, value=uint64_t, i=int, _=int)
    cpdef uint64_t pair(self, uint64_t first, uint64_t second) except? 0xFFFFFFFFFFFFFFFF

cpdef uint64_t siphash(bytes key, bytes data) except? 0xFFFFFFFFFFFFFFFF
