cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.rng cimport Rng


@cython.final
cdef class SharedBudget:
    cdef public int64_t until
    cdef public int64_t left
    cpdef bint take(self, Rng rng, int64_t now, int64_t limit) except -1

@cython.final
cdef class PeerBucket:
    cdef public uint32_t addr
    cdef public int64_t tokens
    cdef public int64_t stamp

@cython.final
cdef class PeerBuckets:
    cdef public dict by_addr
    cdef public list places
    @cython.locals(bucket=PeerBucket, fresh=int64_t)
    cpdef bint take(self, Rng rng, int64_t now, uint32_t addr, int64_t interval, int64_t burst) except -1
    @cython.locals(bucket=PeerBucket)
    cdef PeerBucket _place(self, Rng rng, uint32_t addr)
