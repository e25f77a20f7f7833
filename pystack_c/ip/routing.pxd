cimport cython
cimport pystack_c.const as C
from pystack_c.link cimport neighbor
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.route cimport Dst, Route, link_mtu
from pystack_c.wire cimport ipv4 as wire
from pystack_c.base.address cimport addr_sum, addr_t, addr_text, is_broadcast, is_loopback, is_multicast, key, loopback_for
from pystack_c.ip.pmtu cimport expire_mtu

@cython.locals(dst=Dst)
cpdef Dst route_output(Core core, addr_t addr, addr_t src=*, Iface iface=*, bint onlink=*)
@cython.locals(found=Dst, dst=Dst)
cpdef Dst find_route(Core core, addr_t addr, addr_t src=*, Iface iface=*, bint onlink=*)
@cython.locals(mine=LocalAddr, own=LocalAddr, route=Route, src=addr_t, hop=addr_t, kind=int, dst=Dst)
cdef Dst _resolve(Core core, addr_t addr, Iface iface, bint onlink)
@cython.locals(route=Route, other=Iface, kind=int)
cdef Dst _resolve_group(Core core, addr_t addr, Iface iface)
@cython.locals(addr=addr_t, other=Iface, own=LocalAddr)
cpdef addr_t source_address(Core core, Iface iface, addr_t hop) except? 0xFFFFFFFF
@cython.locals(fields=dict, why=str, rfc=str)
cdef _tell_route(Core core, addr_t addr, Dst dst)
