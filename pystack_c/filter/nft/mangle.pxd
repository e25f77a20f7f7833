cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, v4
from pystack_c.core cimport Core
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.flow cimport Tracked
from pystack_c.filter.nat_rules cimport NatRule, Range
from pystack_c.filter.nft cimport exprs
from pystack_c.filter.nft.exprs cimport Expr
from pystack_c.filter.nft.statements cimport Statement
from pystack_c.filter.nft.view cimport View
from pystack_c.packet cimport Outgoing, Packet
from pystack_c.wire cimport checksum, rewrite

cdef class SetMark(Statement):
    cdef public Expr number
    @cython.locals(found=object, pkt=Packet, out=Outgoing)
    cpdef int run(self, View view) except -100

@cython.final
cdef class SetTrace(Statement):
    cdef public bint on

cdef class SetCtMark(Statement):
    cdef public Expr number
    @cython.locals(found=object, entry=Tracked)
    cpdef int run(self, View view) except -100

cdef class Notrack(Statement):
    @cython.locals(ct=Conntrack)
    cpdef int run(self, View view) except -100

cdef class SetNet(Statement):
    cdef public int code
    cdef public Expr number
    @cython.locals(found=object, addr=addr_t)
    cpdef int run(self, View view) except -100

cdef class SetTransport(Statement):
    cdef public int proto
    cdef public Py_ssize_t offset
    cdef public Py_ssize_t size
    cdef public int shift
    cdef public int64_t mask
    cdef public Expr number
    @cython.locals(found=object, old=int64_t, new=int64_t)
    cpdef int run(self, View view) except -100

cdef class SetTcpOption(Statement):
    cdef public int kind
    cdef public Py_ssize_t offset
    cdef public Py_ssize_t size
    cdef public Expr number
    @cython.locals(at=Py_ssize_t, found=object, old=object)
    cpdef int run(self, View view) except -100

cdef class Translate(Statement):
    cdef public int action
    cdef public Expr addr
    cdef public Expr port
    cdef public bint pair
    cdef public bint fully_random
    cdef public bint persistent
    @cython.locals(found=object, port=object, low=object, high=object, first=object, last=object, choice=Range)
    cpdef int run(self, View view) except -100

@cython.locals(pkt=Packet, out=Outgoing, q=bytearray, at=Py_ssize_t, proto=int, csum_at=Py_ssize_t, partial=bint, word=Py_ssize_t, end=Py_ssize_t, old=uint32_t, new=uint32_t, flip=uint32_t, csum=uint32_t, i=Py_ssize_t)
cpdef patch(View view, Py_ssize_t offset, bytes data)
@cython.locals(pkt=Packet, out=Outgoing, q=bytearray, old=uint32_t, new=uint32_t, csum=uint32_t)
cdef _set_byte(View view, Py_ssize_t offset, int number)
@cython.locals(pkt=Packet, out=Outgoing, q=bytearray, at=Py_ssize_t, end=Py_ssize_t, before=addr_t, port=int64_t, partial=bint, scratch=bint)
cdef _set_addr(View view, bint source, addr_t addr)
