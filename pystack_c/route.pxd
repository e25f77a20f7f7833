cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_sum, addr_t, is_v4, key, length_of, prefix_mask, prefix_of

@cython.final
cdef class NextHop:
    cdef public addr_t gateway
    cdef public Iface iface
    cdef public int weight

@cython.final
cdef class Route:
    cdef public addr_t dst
    cdef public int prefixlen
    cdef public addr_t gateway
    cdef public Iface iface
    cdef public int64_t metric
    cdef public addr_t src
    cdef public int kind
    cdef public int mtu
    cdef public int advmss
    cdef public int initcwnd
    cdef public int64_t table
    cdef public list hops

@cython.final
cdef class Dst:
    cdef public Iface iface
    cdef public addr_t addr
    cdef public addr_t next_hop
    cdef public addr_t src
    cdef public int mtu
    cdef public int64_t mtu_until
    cdef public bint mtu_locked
    cdef public Py_ssize_t df_size
    cdef public int kind
    cdef public int64_t epoch
    cdef public int ident
    cdef public object neigh
    cdef public Route route
    cdef public int overhead
    cdef public uint32_t pseudo

@cython.locals(mtu=int)
cpdef int link_mtu(Dst dst) noexcept
@cython.locals(s=uint32_t)
cpdef uint32_t transport_sum(Dst dst, addr_t src, addr_t daddr, uint32_t proto, uint32_t length) noexcept

@cython.final
cdef class RouteTable:
    cdef public list by_length
    cdef public list lengths
    @cython.locals(length=int, bucket=dict, route=Route)
    cpdef bint has(self, addr_t dst, int prefixlen, int64_t metric) except -1
    @cython.locals(length=int, prefix=object, bucket=dict, same=list)
    cpdef add(self, Route route)
    @cython.locals(length=int, prefix=object, bucket=dict, old=list, keep=list)
    cpdef remove(self, addr_t dst, int prefixlen, object gateway=*, Iface iface=*, int64_t metric=*)
    @cython.locals(least=int, length=int, bucket=dict, found=list, route=Route)
    cpdef Route lookup(self, addr_t dst, Iface iface=*, bint onlink=*)
    cpdef list all(self)

@cython.locals(hop=NextHop)
cpdef bint any_up(list hops, Iface iface) except -1
cpdef object _by_metric(Route route)
