cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.iface cimport Iface

@cython.final
cdef class Route:
    cdef public uint32_t dst
    cdef public int prefixlen
    cdef public uint32_t gateway
    cdef public Iface iface
    cdef public int64_t metric
    cdef public uint32_t src
    cdef public int kind
    cdef public int mtu
    cdef public int advmss
    cdef public int initcwnd

@cython.final
cdef class Dst:
    cdef public Iface iface
    cdef public uint32_t addr
    cdef public uint32_t next_hop
    cdef public uint32_t src
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

@cython.locals(mtu=int)
cpdef int link_mtu(Dst dst) noexcept
cpdef uint32_t netmask(int prefixlen) noexcept

@cython.final
cdef class RouteTable:
    cdef public list by_length
    cdef public list lengths
    @cython.locals(bucket=dict, route=Route)
    cpdef bint has(self, uint32_t dst, int prefixlen, int64_t metric) except -1
    @cython.locals(bucket=dict, same=list)
    cpdef add(self, Route route)
    @cython.locals(bucket=dict, old=list, keep=list)
    cpdef remove(self, uint32_t dst, int prefixlen, int64_t gateway=*, Iface iface=*)
    @cython.locals(length=int, bucket=dict, key=uint32_t, found=list, route=Route)
    cpdef Route lookup(self, uint32_t dst, Iface iface=*, bint onlink=*)
    cpdef list all(self)

cpdef object _by_metric(Route route)
