cimport cython
from libc.stdint cimport int64_t, uint64_t
cimport pystack_c.const as C
from pystack_c.base.rng cimport Rng
from pystack_c.base.address cimport addr_t, key


cdef uint64_t _BUDGET, _PLACE

@cython.final
cdef class SharedBudget:
    cdef public uint64_t use
    cdef public int64_t until
    cdef public int64_t left
    cdef public uint64_t drawn
    @cython.locals(drawn=uint64_t)
    cpdef bint take(self, Rng rng, int64_t now, int64_t limit) except -1

@cython.final
cdef class PeerBucket:
    cdef public addr_t addr
    cdef public int64_t tokens
    cdef public int64_t stamp

@cython.final
cdef class PeerBuckets:
    cdef public dict by_addr
    cdef public list places
    cdef public uint64_t drawn
    @cython.locals(bucket=PeerBucket, fresh=int64_t)
    cpdef bint take(self, Rng rng, int64_t now, addr_t addr, int64_t interval, int64_t burst) except -1
    @cython.locals(bucket=PeerBucket)
    cdef PeerBucket _place(self, Rng rng, addr_t addr)
