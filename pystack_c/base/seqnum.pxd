cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t, uint32_t

cdef extern from *:
    """
    /* The core does about 50 of these operations for each segment. Outside seqnum they are macros, so no call through
       a pointer is needed. The macros have the names that Cython gives the functions, and only calls match them. If
       Cython named them otherwise, the functions would be called. */
    #ifndef __PYX_HAVE__pystack_c__base__seqnum
    static inline uint32_t pystack_seq_add(uint32_t a, int64_t n) { return a + (uint32_t) n; }
    static inline int64_t pystack_seq_diff(uint32_t a, uint32_t b) { return (int32_t) (a - b); }
    static inline uint32_t pystack_seq_max(uint32_t a, uint32_t b) { return (int32_t) (a - b) >= 0 ? a : b; }
    #define __pyx_f_9pystack_c_4base_6seqnum_seq_add(a, n, skip) pystack_seq_add(a, n)
    #define __pyx_f_9pystack_c_4base_6seqnum_seq_diff(a, b, skip) pystack_seq_diff(a, b)
    #define __pyx_f_9pystack_c_4base_6seqnum_seq_max(a, b, skip) pystack_seq_max(a, b)
    #define __pyx_f_9pystack_c_4base_6seqnum_seq_lt(a, b, skip) (pystack_seq_diff(a, b) < 0)
    #define __pyx_f_9pystack_c_4base_6seqnum_seq_le(a, b, skip) (pystack_seq_diff(b, a) >= 0)
    #define __pyx_f_9pystack_c_4base_6seqnum_seq_gt(a, b, skip) (pystack_seq_diff(b, a) < 0)
    #define __pyx_f_9pystack_c_4base_6seqnum_seq_ge(a, b, skip) (pystack_seq_diff(a, b) >= 0)
    #endif
    """

cpdef uint32_t seq_add(uint32_t a, int64_t n) noexcept
@cython.locals(d=int64_t)
cpdef int64_t seq_diff(uint32_t a, uint32_t b) noexcept
cpdef bint seq_lt(uint32_t a, uint32_t b) noexcept
cpdef bint seq_le(uint32_t a, uint32_t b) noexcept
cpdef bint seq_gt(uint32_t a, uint32_t b) noexcept
cpdef bint seq_ge(uint32_t a, uint32_t b) noexcept
cpdef uint32_t seq_max(uint32_t a, uint32_t b) noexcept
