cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, v4_bits
from pystack_c.base.siphash cimport SipHash
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface
from pystack_c.route cimport NextHop, Route, RouteTable

@cython.final
cdef class RouteRule:
    cdef public int64_t priority
    cdef public int action
    cdef public int64_t table
    cdef public int64_t target
    cdef public addr_t src
    cdef public addr_t src_mask
    cdef public int src_length
    cdef public addr_t dst
    cdef public addr_t dst_mask
    cdef public int dst_length
    cdef public uint32_t mark
    cdef public uint32_t mask
    cdef public Iface iif
    cdef public Iface oif
    cdef public bint invert
    cdef public int suppress
    @cython.locals(found=bint)
    cpdef bint matches(self, RouteFlow flow, Iface lo) noexcept
    cpdef bint same(self, RouteRule other) noexcept

@cython.final
cdef class RouteFlow:
    cdef public addr_t dst
    cdef public addr_t src
    cdef public Iface iif
    cdef public Iface oif
    cdef public uint32_t mark
    cdef public int proto
    cdef public int sport
    cdef public int dport
    cpdef begin(self, addr_t dst, addr_t src, Iface iif, Iface oif, uint32_t mark)
    cpdef ports(self, int proto, int sport, int dport)

@cython.final
cdef class Policy:
    cdef public dict tables
    cdef public list rules
    cdef public RouteFlow flow
    cdef public SipHash siphash
    cdef public dict paths
    @cython.locals(found=RouteTable)
    cpdef RouteTable table(self, int64_t number)
    @cython.locals(at=Py_ssize_t)
    cpdef add(self, RouteRule rule)
    @cython.locals(first=RouteRule)
    cpdef int64_t next_priority(self) except? -1

@cython.locals(words=list)
cpdef object enable(Core core)
@cython.locals(policy=Policy, lo=Iface, skip=int64_t, rule=RouteRule, table=RouteTable, route=Route)
cpdef Route select(Core core, RouteFlow flow, bint onlink)
@cython.locals(total=int64_t, hop=NextHop, left=int64_t, chosen=NextHop)
cpdef NextHop next_hop(Core core, Route route, RouteFlow flow)
@cython.locals(policy=Policy, hashed=SipHash, low=uint64_t, length=int)
cpdef int64_t flow_hash(Core core, RouteFlow flow) except? -1
