cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.base.address cimport v4_bits
from pystack_c.filter.flow cimport Half, Tracked
from pystack_c.filter.nft.view cimport View
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Packet
from pystack_c.route cimport Dst

cdef class Expr:
    cpdef object value(self, View view)
    cpdef bint narrow(self) except -1
    cpdef int64_t number(self, View view) except -2
    cpdef bint steady(self) except -1

@cython.final
cdef class Const(Expr):
    cdef public object constant

@cython.final
cdef class NetField(Expr):
    cdef public int code

@cython.locals(head=bytes, at=int)
cdef int64_t _net(View view, int code) except -2

cdef class TransportField(Expr):
    cdef public int proto
    cdef public tuple types
    cdef public Py_ssize_t offset
    cdef public Py_ssize_t size
    cdef public int shift
    cdef public int64_t mask
    @cython.locals(number=int64_t)
    cpdef int64_t number(self, View view) except -2

@cython.final
cdef class RawField(Expr):
    cdef public bint network
    cdef public Py_ssize_t offset
    cdef public Py_ssize_t bits

@cython.final
cdef class EtherField(Expr):
    cdef public int code

@cython.final
cdef class OptionField(Expr):
    cdef public int kind
    cdef public Py_ssize_t offset
    cdef public Py_ssize_t size

@cython.final
cdef class HasTcpOption(Expr):
    cdef public int kind

@cython.final
cdef class Meta(Expr):
    cdef public int code

@cython.final
cdef class Ct(Expr):
    cdef public int code

@cython.final
cdef class CtTuple(Expr):
    cdef public int code
    cdef public int direction

@cython.final
cdef class Rt(Expr):
    cdef public bint mtu

@cython.final
cdef class Binary(Expr):
    cdef public int code
    cdef public Expr left
    cdef public Expr right

@cython.final
cdef class Part:
    cdef public Expr expr
    cdef public int below
    cdef public Part following

cdef class Concat(Expr):
    cdef public tuple parts
    cdef public bint small
    cdef public Part first
    @cython.locals(number=int64_t, one=int64_t, part=Part)
    cpdef int64_t number(self, View view) except -2

@cython.locals(pkt=Packet, bits=uint32_t)
cdef int _pkttype(View view) except -1
