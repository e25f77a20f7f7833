cimport cython
cimport pystack_c.const as C
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from pystack_c.base.address cimport addr_sum, addr_t
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

cdef extern from "arpa/inet.h":
    uint16_t ntohs(uint16_t v) nogil

cdef extern from *:
    """
    /* 32 bytes at a time: two sums of 64-bit words, so that neither waits for the other, with counts of the carries. */
    typedef uint64_t pystack_word __attribute__((aligned(1), may_alias));
    static inline uint64_t pystack_sum32(const unsigned char *p, Py_ssize_t blocks)
    {
        uint64_t a = 0, b = 0, carries_a = 0, carries_b = 0;
        Py_ssize_t i;
        for (i = 0; i < blocks; i++, p += 32) {
            const pystack_word *w = (const pystack_word *) p;
            carries_a += __builtin_add_overflow(a, w[0], &a);
            carries_b += __builtin_add_overflow(b, w[1], &b);
            carries_a += __builtin_add_overflow(a, w[2], &a);
            carries_b += __builtin_add_overflow(b, w[3], &b);
        }
        return (a & 0xFFFFFFFFu) + (a >> 32) + (b & 0xFFFFFFFFu) + (b >> 32) + carries_a + carries_b;
    }
    """
    uint64_t pystack_sum32(const unsigned char* p, Py_ssize_t blocks) nogil

# The compiled body. It adds words in the machine's byte order,
# and one swap at the end corrects the sum (RFC 1071 2 (B)).
cdef inline uint32_t sum_at(const unsigned char* p, Py_ssize_t off, Py_ssize_t end, uint32_t acc) noexcept nogil:
    cdef uint64_t s = 0
    cdef uint32_t w
    cdef uint16_t h = 0
    cdef Py_ssize_t n = end - off
    cdef Py_ssize_t i
    cdef Py_ssize_t words
    if n <= 0:
        n = 0
    p = p + off
    if n >= 64:
        s = pystack_sum32(p, n >> 5)
        p = p + (n & -32)
        n = n & 31
    words = n >> 2
    for i in range(words):
        memcpy(&w, p + 4 * i, 4)
        s += w
    p = p + 4 * words
    if n & 2:
        memcpy(&h, p, 2)
        s += h
        p = p + 2
    if n & 1:
        h = 0
        memcpy(&h, p, 1)
        s += h
    s = (s & 0xFFFFFFFFU) + (s >> 32)
    s = (s & 0xFFFFFFFFU) + (s >> 32)
    s = (s & 0xFFFF) + (s >> 16)
    s = (s & 0xFFFF) + (s >> 16)
    s = <uint64_t>ntohs(<uint16_t>s) + acc
    s = (s & 0xFFFF) + (s >> 16)
    return <uint32_t>((s & 0xFFFF) + (s >> 16))

cdef inline uint32_t sum_object(object data, uint32_t acc) except? 0xFFFFFFFF:
    cdef Py_buffer view
    cdef uint32_t s
    if type(data) is bytes:
        return sum_at(<const unsigned char*>(<bytes>data), 0, len(<bytes>data), acc)
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    s = sum_at(<const unsigned char*>view.buf, 0, view.len, acc)
    PyBuffer_Release(&view)
    return s

@cython.locals(total=object, rest=object, piece=object)
cpdef object _fold_words(object data, Py_ssize_t off, Py_ssize_t end, object acc)
cpdef uint32_t sum_bytes(bytes data, Py_ssize_t off, Py_ssize_t end, uint32_t acc) noexcept
cpdef uint32_t sum_scratch(bytearray data, Py_ssize_t off, Py_ssize_t end, uint32_t acc) noexcept
cpdef uint32_t sum_any(object data, uint32_t acc) except? 0xFFFFFFFF
cpdef uint32_t checksum(bytes data, Py_ssize_t off, Py_ssize_t end, uint32_t acc) noexcept
@cython.locals(s=uint32_t)
cpdef uint32_t add(uint32_t a, uint32_t b) noexcept
cpdef uint32_t swap(uint32_t a) noexcept
@cython.locals(s=uint32_t)
cpdef uint32_t pseudo_sum(addr_t src, addr_t dst, uint32_t proto, uint32_t length) noexcept
@cython.locals(s=uint32_t)
cpdef uint32_t update(uint32_t old_sum, uint32_t old, uint32_t new) noexcept
