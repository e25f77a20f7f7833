cimport cython
from libc.stdint cimport uint32_t, uint64_t
cimport pystack_c.const as C

cdef extern from *:
    """
    /* Every packet needs these functions. Outside this module they are macros, as in seqnum.pxd, so no call through a
       pointer is needed. If Cython named the functions otherwise, they would be called. Addresses are aligned to 8
       bytes, so that fields need no padding, and objects may begin at any multiple of 8. */
    #ifndef PYSTACK_ADDR
    #define PYSTACK_ADDR
    typedef unsigned __int128 pystack_addr_t __attribute__((aligned(8)));
    #ifndef __PYX_HAVE__pystack_c__base__address
    #define PYSTACK_HIGH(a) ((uint64_t) ((pystack_addr_t) (a) >> 64))
    #define PYSTACK_V4 0xFFFF00000000ULL
    static inline pystack_addr_t pystack_v4(uint32_t bits) { return bits != 0 ? PYSTACK_V4 | bits : 0; }
    static inline int pystack_is_v4(pystack_addr_t a) { return PYSTACK_HIGH(a) == 0 && (uint64_t) a >> 32 == 0xFFFF; }
    static inline pystack_addr_t pystack_normal(pystack_addr_t a)
    {
        if (a == PYSTACK_V4)
            return 0;
        return a > 1 && a <= 0xFFFFFFFFu ? PYSTACK_V4 | (uint64_t) a : a;
    }
    static inline int pystack_is_multicast(pystack_addr_t a)
    {
        return PYSTACK_HIGH(a) == 0 ? (uint64_t) a >> 28 == 0xFFFFE : PYSTACK_HIGH(a) >> 56 == 0xFF;
    }
    static inline int pystack_is_group(pystack_addr_t a)
    {
        return PYSTACK_HIGH(a) == 0 ? (uint64_t) a >> 29 == 0x7FFFF : PYSTACK_HIGH(a) >> 56 == 0xFF;
    }
    static inline int pystack_is_loopback(pystack_addr_t a)
    {
        return PYSTACK_HIGH(a) == 0 && ((uint64_t) a >> 24 == 0xFFFF7F || (uint64_t) a == 1);
    }
    static inline int pystack_is_this_network(pystack_addr_t a)
    {
        return PYSTACK_HIGH(a) == 0 && ((uint64_t) a >> 24 == 0xFFFF00 || (uint64_t) a == 0);
    }
    static inline uint64_t pystack_halves(pystack_addr_t a)
    {
        uint64_t low = (uint64_t) a, high = PYSTACK_HIGH(a);
        uint64_t s = (low & 0xFFFFFFFFu) + (low >> 32);
        return high == 0 ? s : s + (high & 0xFFFFFFFFu) + (high >> 32);
    }
    static inline uint32_t pystack_addr_sum(pystack_addr_t src, pystack_addr_t dst)
    {
        uint64_t s = pystack_halves(src) + pystack_halves(dst);
        s = (s & 0xFFFF) + ((s >> 16) & 0xFFFF) + (s >> 32);
        s = (s & 0xFFFF) + (s >> 16);
        return (uint32_t) ((s & 0xFFFF) + (s >> 16));
    }
    #define __pyx_f_9pystack_c_4base_7address_v4(bits, skip) pystack_v4(bits)
    #define __pyx_f_9pystack_c_4base_7address_v4_bits(a, skip) ((uint32_t) (a))
    #define __pyx_f_9pystack_c_4base_7address_is_v4(a, skip) pystack_is_v4(a)
    #define __pyx_f_9pystack_c_4base_7address_is_v6(a, skip) ((a) != 0 && !pystack_is_v4(a))
    #define __pyx_f_9pystack_c_4base_7address_normal(a, skip) pystack_normal(a)
    #define __pyx_f_9pystack_c_4base_7address_is_multicast(a, skip) pystack_is_multicast(a)
    #define __pyx_f_9pystack_c_4base_7address_is_broadcast(a, skip) ((a) == (PYSTACK_V4 | 0xFFFFFFFFu))
    #define __pyx_f_9pystack_c_4base_7address_is_group(a, skip) pystack_is_group(a)
    #define __pyx_f_9pystack_c_4base_7address_is_loopback(a, skip) pystack_is_loopback(a)
    #define __pyx_f_9pystack_c_4base_7address_is_this_network(a, skip) pystack_is_this_network(a)
    #define __pyx_f_9pystack_c_4base_7address_addr_sum(a, b, skip) pystack_addr_sum(a, b)
    #define __pyx_f_9pystack_c_4base_7address_key(a, skip) __extension__({ \\
        pystack_addr_t pystack_key = (a); \\
        PYSTACK_HIGH(pystack_key) == 0 ? PyLong_FromUnsignedLongLong((uint64_t) pystack_key) \\
            : (__pyx_f_9pystack_c_4base_7address_key)(pystack_key, skip); })
    #endif
    #endif
    """
    ctypedef unsigned long long addr_t "pystack_addr_t"

cdef addr_t _MAPPED, _ALL

cpdef addr_t v4(uint32_t bits) noexcept
cpdef uint32_t v4_bits(addr_t addr) noexcept
cpdef bint is_v4(addr_t addr) noexcept
cpdef bint is_v6(addr_t addr) noexcept
cpdef addr_t normal(addr_t addr) noexcept
cpdef bint is_multicast(addr_t addr) noexcept
cpdef bint is_broadcast(addr_t addr) noexcept
cpdef bint is_group(addr_t addr) noexcept
cpdef bint is_loopback(addr_t addr) noexcept
cpdef bint is_this_network(addr_t addr) noexcept
cpdef addr_t loopback_for(addr_t addr) noexcept
cpdef int length_of(addr_t addr, int prefixlen) noexcept
cpdef int most_prefixlen(addr_t addr) noexcept
cpdef addr_t prefix_mask(int length) noexcept
cpdef addr_t prefix_of(addr_t addr, int length) noexcept
cpdef addr_t broadcast_of(addr_t addr, int prefixlen) noexcept
@cython.locals(s=uint64_t, shift=int)
cpdef uint32_t addr_sum(addr_t src, addr_t dst) noexcept
cpdef object key(addr_t addr)
@cython.locals(low=uint64_t, ports=uint64_t)
cpdef object conn_key(addr_t raddr, uint64_t rport, uint64_t lport)
cpdef bytes addr_bytes(addr_t addr)
@cython.locals(number=object)
cpdef addr_t from_bytes(bytes data) except? 0xFFFFFFFF
cpdef object plain(addr_t addr)
@cython.locals(low=uint32_t)
cpdef str addr_text(addr_t addr)
