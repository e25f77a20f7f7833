cimport cython
from libc.stdint cimport int64_t, uint64_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Packet
from pystack_c.wire cimport ethernet

@cython.final
cdef class Program:
    cdef public bytes code
    cdef public list mem

@cython.locals(p="const unsigned char*", a=uint64_t, x=uint64_t, pc=Py_ssize_t, op=int, high=uint64_t, k=uint64_t, kind=int, value=uint64_t, found=int64_t)
cpdef int64_t run(Program program, Core core, Iface iface, Packet pkt, Py_ssize_t start, Py_ssize_t end) except -1
cdef bint _holds(int op, uint64_t a, uint64_t value) noexcept
cdef int64_t _calculate(int op, uint64_t a, uint64_t value) except? -1
@cython.locals(mode=int, offset=int64_t, size=int, p="const unsigned char*", found=int64_t)
cdef int64_t _load(Program program, Core core, Iface iface, Packet pkt, int op, uint64_t k, uint64_t a, uint64_t x, Py_ssize_t start, Py_ssize_t end) except? -1
cdef int64_t _ancillary(Core core, Iface iface, Packet pkt, int64_t which, uint64_t a, uint64_t x) except? -1
@cython.locals(pkt=Packet)
cpdef int64_t keep(Program program, bytes frame, Py_ssize_t offset=*) except -1
