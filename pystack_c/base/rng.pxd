cimport cython
cimport pystack_c.const as C
from libc.stdint cimport uint32_t, uint64_t
from pystack_c.base.siphash cimport SipHash
from pystack_c.base.address cimport addr_bytes, addr_t, v4_bits, is_v6

cdef uint64_t _PORT

cdef uint64_t _swapped(uint64_t x) noexcept

cdef class Rng:
    cdef public uint32_t s0
    cdef public uint32_t s1
    cdef public uint32_t s2
    cdef public uint32_t s3
    cdef public SipHash hasher
    @cython.locals(x=uint32_t, result=uint32_t, t=uint32_t, y=uint32_t)
    cpdef uint32_t u32(self) noexcept
    @cython.locals(r=uint64_t)
    cpdef uint64_t below(self, uint64_t n) noexcept
    cpdef double random(self) noexcept
    cpdef uint64_t keyed_hash(self, bytes data) except? 0xFFFFFFFFFFFFFFFF
    cpdef uint64_t keyed_port(self, addr_t laddr, addr_t raddr, uint64_t rport) except? 0xFFFFFFFFFFFFFFFF
    @cython.locals(low=uint64_t, ports=uint64_t)
    cpdef uint64_t keyed_four(self, addr_t laddr, uint64_t lport, addr_t raddr, uint64_t rport) except? 0xFFFFFFFFFFFFFFFF
    @cython.locals(low=uint64_t, ports=uint64_t)
    cpdef uint64_t keyed_flow(self, addr_t src, uint64_t sport, addr_t dst, uint64_t dport, uint64_t proto) except? 0xFFFFFFFFFFFFFFFF
    cpdef uint64_t keyed_pair(self, uint64_t first, uint64_t second) except? 0xFFFFFFFFFFFFFFFF
