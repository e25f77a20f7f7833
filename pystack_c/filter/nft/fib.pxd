cimport cython
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, is_broadcast, is_multicast, is_this_network
from pystack_c.core cimport Core
from pystack_c.filter.nft.exprs cimport Expr
from pystack_c.filter.nft.view cimport View
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.route cimport NextHop, Route

cdef class Fib(Expr):
    cdef public object helper
    cdef public int result
    cdef public bint source
    cdef public bint mark
    cdef public bint iif
    cdef public bint oif
    @cython.locals(found=Iface)
    cpdef object value(self, View view)
    @cython.locals(addr=addr_t, iface=Iface, mine=LocalAddr, item=object, other=Iface, own=object)
    cdef int _type(self, View view) except -1
    @cython.locals(core=Core, addr=addr_t, other=addr_t, into=Iface, route=Route, hop=NextHop, item=object)
    cdef Iface _out(self, View view)
