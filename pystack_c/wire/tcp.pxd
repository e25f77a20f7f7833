cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.packet cimport Packet

@cython.locals(p="const unsigned char*", o=Py_ssize_t, hlen=int)
cpdef int parse_tcp(Packet pkt) except? -100
@cython.locals(p="const unsigned char*")
cdef _timestamps(Packet pkt, Py_ssize_t i)
@cython.locals(p="const unsigned char*", kind=int, length=int)
cdef _options(Packet pkt, Py_ssize_t i, Py_ssize_t end)
@cython.locals(p="const unsigned char*")
cdef _accecn(Packet pkt, Py_ssize_t i, int n, int order)
@cython.locals(p="const unsigned char*", blocks=list, left=uint32_t, right=uint32_t)
cdef _sack_blocks(Packet pkt, Py_ssize_t i, Py_ssize_t end)
@cython.locals(b="unsigned char*")
cpdef write_tcp(bytearray buf, Py_ssize_t o, int sport, int dport, uint32_t seq, uint32_t ack, int hlen, int flags, int window, int urg)
@cython.locals(b="unsigned char*")
cpdef void put32(bytearray buf, Py_ssize_t o, uint32_t value) noexcept
@cython.locals(b="unsigned char*")
cpdef int write_timestamps(bytearray buf, Py_ssize_t o, uint32_t tsval, uint32_t tsecr) except -1
@cython.locals(b="unsigned char*", i=Py_ssize_t, left=uint32_t, right=uint32_t)
cpdef int write_sack(bytearray buf, Py_ssize_t o, list blocks, int count) except -1
@cython.locals(b="unsigned char*", i=Py_ssize_t)
cpdef int write_syn_options(bytearray buf, Py_ssize_t o, int mss, int wscale, bint sack_ok, bint ts_ok, uint32_t tsval, uint32_t tsecr) except -1
@cython.locals(b="unsigned char*", n=Py_ssize_t, i=Py_ssize_t)
cpdef int write_fastopen(bytearray buf, Py_ssize_t o, bytes cookie, bint exp) except -1
@cython.locals(b="unsigned char*", i=Py_ssize_t, n=int, value=int64_t)
cpdef int write_accecn(bytearray buf, Py_ssize_t o, int order, int count, int64_t first, int64_t ceb, int64_t last) except -1
@cython.locals(n=int64_t)
cpdef int64_t segment_len(Packet pkt) except? -1
