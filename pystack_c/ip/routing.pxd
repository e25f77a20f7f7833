cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.link cimport neighbor
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.endpoint cimport Endpoint
from pystack_c.ip.policy cimport RouteFlow, Policy, next_hop, select
from pystack_c.route cimport Dst, NextHop, Route, RouteTable, link_mtu, slot
from pystack_c.wire cimport ipv4 as wire
from pystack_c.base.address cimport addr_sum, addr_t, addr_text, is_broadcast, is_loopback, is_multicast, key, loopback_for
from pystack_c.ip.pmtu cimport expire_mtu

@cython.locals(dst=Dst)
cpdef Dst route_output(Core core, addr_t addr, addr_t src=*, Iface iface=*, bint onlink=*)
@cython.locals(at=int, found=Dst, dst=Dst)
cpdef Dst find_route(Core core, addr_t addr, addr_t src=*, Iface iface=*, bint onlink=*)
@cython.locals(dst=Dst)
cpdef Dst route_endpoint(Core core, Endpoint ep, addr_t addr, Iface iface, bint onlink, int proto, int dport)
@cython.locals(policy=Policy, ports=int64_t, out=int, into=int, where=tuple, found=Dst, dst=Dst)
cpdef Dst route_flow(Core core, addr_t addr, addr_t src=*, Iface iface=*, bint onlink=*, uint32_t mark=*, Iface iif=*, int64_t proto=*, int64_t sport=*, int64_t dport=*)
@cython.locals(flow=RouteFlow, policy=Policy)
cpdef Dst decide(Core core, addr_t addr, addr_t src=*, Iface iface=*, uint32_t mark=*, Iface iif=*, int proto=*, int sport=*, int dport=*, bint onlink=*)
@cython.locals(path=tuple, found=Dst)
cdef Dst _shared(Core core, Policy policy, Dst dst)
cdef _remember(dict cache, object where, Dst dst)
@cython.locals(table=RouteTable, route=Route)
cpdef Route lookup(Core core, addr_t addr, Iface iface, bint onlink, RouteFlow flow)
@cython.locals(mine=LocalAddr, own=LocalAddr, route=Route, gateway=addr_t, through=Iface, chosen=NextHop, src=addr_t, hop=addr_t, kind=int, dst=Dst)
cdef Dst _resolve(Core core, addr_t addr, Iface iface, bint onlink, RouteFlow flow)
@cython.locals(route=Route, other=Iface, kind=int)
cdef Dst _resolve_group(Core core, addr_t addr, Iface iface, RouteFlow flow)
@cython.locals(addr=addr_t, other=Iface, own=LocalAddr)
cpdef addr_t source_address(Core core, Iface iface, addr_t hop) except? 0xFFFFFFFF
@cython.locals(fields=dict, why=str, rfc=str)
cdef _tell_route(Core core, addr_t addr, Dst dst)
