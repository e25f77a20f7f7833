cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, is_group, length_of, most_prefixlen, normal, prefix_mask, prefix_of
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface
from pystack_c.ip cimport policy
from pystack_c.ip.policy cimport Policy, RouteRule
from pystack_c.ip.routing cimport route_flow
from pystack_c.route cimport Dst, NextHop, Route, RouteTable

cdef class Tables(Core):
    @cython.locals(route=Route, several=list, routes=RouteTable)
    cpdef Route add_route(self, addr_t dst, int prefixlen, addr_t gateway=*, Iface iface=*, int64_t metric=*, addr_t src=*, int kind=*, int mtu=*, int advmss=*, int initcwnd=*, bint replace=*, int64_t table=*, tuple hops=*)
    @cython.locals(via=Route)
    cpdef NextHop _hop(self, addr_t gateway, Iface iface=*, int weight=*)
    @cython.locals(found=RouteTable)
    cdef RouteTable _table(self, int64_t number, bint several=*)
    @cython.locals(found=bint, routes=RouteTable)
    cpdef bint del_route(self, addr_t dst, int prefixlen, object gateway=*, Iface iface=*, int64_t table=*, int64_t metric=*) except -1
    @cython.locals(rules=Policy, rule=RouteRule, other=RouteRule)
    cpdef object add_rule(self, int64_t priority=*, int64_t table=*, int action=*, addr_t src=*, int src_length=*, addr_t dst=*, int dst_length=*, int64_t mark=*, int64_t mask=*, Iface iif=*, Iface oif=*, bint invert=*, int suppress=*, int64_t target=*)
    @cython.locals(rules=Policy, rule=RouteRule, like=RouteRule)
    cpdef del_rule(self, int64_t priority=*, int64_t table=*, int action=*, addr_t src=*, int src_length=*, addr_t dst=*, int dst_length=*, int64_t mark=*, int64_t mask=*, Iface iif=*, Iface oif=*, bint invert=*)
    @cython.locals(rule=RouteRule)
    cdef RouteRule _rule(self, int64_t priority, int64_t table, int action, addr_t src, int src_length, addr_t dst, int dst_length, int64_t mark, int64_t mask, Iface iif, Iface oif, bint invert)
    @cython.locals(dst=Dst)
    cpdef bint proxies(self, Iface iface, addr_t addr, addr_t src) except -1
    @cython.locals(mask=addr_t)
    cdef tuple _prefix(self, addr_t addr, int prefixlen)
    cdef addr_t _checked(self, addr_t addr, int prefixlen) except? 0xFFFFFFFF
    cdef _routes_changed(self)

cdef _set_metrics(Route route, int mtu, int advmss, int initcwnd)
