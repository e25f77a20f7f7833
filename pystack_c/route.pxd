cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
cimport pystack_c.const as C
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_sum, addr_t, is_v4, key, length_of, prefix_mask, prefix_of, v4_bits

cdef extern from *:
    """
    /* Each packet needs `slot`. Outside this module it is a macro, as in address.pxd. */
    #ifndef PYSTACK_SLOT
    #define PYSTACK_SLOT
    #ifndef __PYX_HAVE__pystack_c__route
    static inline int pystack_slot(pystack_addr_t src, pystack_addr_t dst)
    {
        uint64_t mixed = (uint64_t) (uint32_t) src * 37 + (uint32_t) dst;
        return (int) (((mixed ^ mixed >> 16) * 40503) >> 8 & 0xFF);
    }
    #define __pyx_f_9pystack_c_5route_slot(src, dst, skip) pystack_slot(src, dst)
    #endif
    #endif
    """

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
cdef class Accepted:
    cdef public addr_t src
    cdef public addr_t dst
    cdef public Iface iface
    cdef public int64_t epoch
    cdef public int kind

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

@cython.locals(mixed=uint64_t)
cpdef int slot(addr_t src, addr_t dst) noexcept
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
