cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t, uint32_t

cpdef uint32_t seq_add(uint32_t a, int64_t n) noexcept
@cython.locals(d=int64_t)
cpdef int64_t seq_diff(uint32_t a, uint32_t b) noexcept
cpdef bint seq_lt(uint32_t a, uint32_t b) noexcept
cpdef bint seq_le(uint32_t a, uint32_t b) noexcept
cpdef bint seq_gt(uint32_t a, uint32_t b) noexcept
cpdef bint seq_ge(uint32_t a, uint32_t b) noexcept
cpdef uint32_t seq_max(uint32_t a, uint32_t b) noexcept
